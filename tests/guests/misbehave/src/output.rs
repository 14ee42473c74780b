//! What the tests of stdout have done.

use std::io::Write as _;

use soloist_sdk::Result;

mod stream2 {
    wit_bindgen::generate!({
        inline: "
            package test:misbehave;

            world stream2 {
                import wasi:cli/stdout@0.2.1;
            }
        ",
        path: ["wit/io2.wit", "wit/cli2.wit"],
        world: "test:misbehave/stream2",
        generate_all,
    });
}

mod stream3 {
    wit_bindgen::generate!({
        inline: "
            package test:misbehave;

            world stream3 {
                import wasi:cli/stdout@0.3.0;
            }
        ",
        path: "wit/cli3.wit",
        world: "test:misbehave/stream3",
        generate_all,
    });
}

/// More than a host takes at a time.
const LARGE_BYTES: usize = 32 << 20;

/// More than a host could take before its plugin has to be gone.
const ENDLESS_BYTES: usize = 200 << 20;

pub async fn run(what: &str) -> Result {
    match what {
        "newlines" => stream(vec![b'\n'; LARGE_BYTES]).await,
        "resign-and-newlines" => {
            // It does not wait from here on, where it could be dropped.
            soloist_sdk::resign("enough");
            stream(vec![b'\n'; ENDLESS_BYTES]).await;
        }
        "whisper" => {
            (0..5000).for_each(|line| soloist_sdk::debug!("{line}"));
            soloist_sdk::info!("this is what matters");
        }
        "print-on" => loop {
            println!("on");
        },
        "log-on" => loop {
            soloist_sdk::info!("on");
        },
        "print-and-compute" => {
            println!("first\nsecond\ndropped\nas well");
            print!("not ended");
            std::io::stdout().flush()?;
            super::spin();
        }
        "lines" => stream(b"on\n".repeat(ENDLESS_BYTES / 3)).await,
        "lines-of-controls" => stream([&[1; 1000], &b"\n"[..]].concat().repeat(100_000)).await,
        "write-unasked" => drop(stream2::wasi::cli::stdout::get_stdout().write(b"unasked\n")),
        "write-too-much" => {
            let stdout = stream2::wasi::cli::stdout::get_stdout();
            let allowed = usize::try_from(stdout.check_write()?)?;
            stdout.write(&vec![b'\n'; allowed])?;
            soloist_sdk::info!("{allowed} were allowed");
            stdout.write(b"\n")?;
        }
        other => super::schedule::run(other).await?,
    }
    Ok(())
}

async fn stream(data: Vec<u8>) {
    let (mut writer, reader) = stream3::wit_stream::new::<u8>();
    let end = stream3::wasi::cli::stdout::write_via_stream(reader);
    writer.write_all(data).await;
    drop(writer);
    end.await.expect("stdout is there");
}
