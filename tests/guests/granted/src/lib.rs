//! A guest for the tests: tries what its config value `do` says with what it was granted.

mod files3;

use std::fs;
use std::io::{Seek as _, Write as _};

use soloist_sdk::{Plugin, Result, Term, config, info};

#[derive(Default)]
struct Granted;

impl Plugin for Granted {
    async fn on_elected(&mut self, _: Term) -> Result {
        match config("do").as_deref().unwrap_or_default() {
            "variables" => {
                let mut variables: Vec<_> = std::env::vars()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                variables.sort();
                info!("{}", variables.join(" "));
            }
            "tell" => {
                let secret = secret();
                info!(secret = secret, "the secret is {secret}, and that is it");
                println!("{secret}");
                eprintln!("x{secret}x");
            }
            "tell-and-resign" => {
                soloist_sdk::resign(&secret());
                soloist_sdk::sleep(std::time::Duration::from_secs(1_000_000)).await;
            }
            "tell-by-error" => Err(secret())?,
            "tell-by-panic" => panic!("{}", secret()),
            "tell-by-abort" => {
                eprintln!("{}", secret());
                std::process::abort();
            }
            // One step a line: what to do, a path, and for a write what to write.
            "files" => {
                for step in config("steps").unwrap_or_default().lines() {
                    info!("{step}: {}", files(step));
                }
            }
            "open" => {
                let mut held = Vec::new();
                let error = loop {
                    match fs::File::open("/data/file") {
                        Ok(file) => held.push(file),
                        Err(error) => break error,
                    }
                };
                info!("{} files, then {:?}", held.len(), error.kind());
                held.pop();
                info!(
                    "then {}",
                    if fs::File::open("/data/file").is_ok() {
                        "one more"
                    } else {
                        "none"
                    }
                );
                soloist_sdk::sleep(std::time::Duration::from_secs(1_000_000)).await;
            }
            "list" => {
                let mut held = Vec::new();
                loop {
                    match fs::read_dir("/data")
                        .map(|mut entries| (entries.next().is_some(), entries))
                    {
                        Ok((true, entries)) => held.push(entries),
                        other => {
                            break info!(
                                "{} listings, then {:?}",
                                held.len(),
                                other.map(|(some, _)| some)
                            );
                        }
                    }
                }
            }
            "open3" => info!("{}", files3::open_many().await),
            "read3" => info!("{}", files3::read().await),
            "list3" => info!("{}", files3::list().await),
            "list-many3" => info!("{}", files3::list_many().await),
            "write3" => info!("{}", files3::write().await),
            "ungranted3" => info!("{}", files3::ungranted().await),
            "refused3" => info!("{}", files3::refused().await),
            // Never ends by itself; each round is another one, so that late bytes show.
            "write-on" => {
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .open("/data/file")
                    .expect("the test grants it");
                for round in 0_u64.. {
                    file.rewind().expect("it is a file");
                    file.write_all(&round.to_le_bytes().repeat(1 << 17))
                        .expect("there is room");
                    if round == 2 {
                        info!("writes on");
                    }
                }
            }
            other => Err(format!("do what? {other:?}"))?,
        }
        Ok(())
    }
}

fn secret() -> String {
    std::env::var("SECRET").unwrap_or_else(|_| "not there".into())
}

fn files(step: &str) -> String {
    let mut words = step.split(' ');
    let (what, path, value) = (
        words.next(),
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let outcome = match what {
        Some("why") => return format!("{:?}", fs::read(path).map_err(|error| error.kind())),
        Some("look") => fs::metadata(path).map(|_| String::from("there")),
        Some("read") => fs::read_to_string(path),
        Some("write") => fs::write(path, value).map(|()| String::from("written")),
        Some("fill") => fs::write(path, vec![b'x'; 1 << 20]).map(|()| String::from("written")),
        Some("append") => {
            let file = fs::OpenOptions::new().append(true).open(path);
            file.and_then(|mut file| file.write_all(value.as_bytes()))
                .map(|()| String::from("written"))
        }
        Some("list") => fs::read_dir(path).and_then(|entries| {
            let mut names = Vec::new();
            for entry in entries {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
            names.sort();
            Ok(names.join(","))
        }),
        Some("remove") => fs::remove_file(path).map(|()| String::from("removed")),
        Some("empty") => fs::remove_dir(path).map(|()| String::from("removed")),
        Some("follow") => fs::read_link(path).map(|path| path.display().to_string()),
        Some("make") => fs::create_dir(path).map(|()| String::from("made")),
        Some("rename") => fs::rename(path, value).map(|()| String::from("renamed")),
        #[expect(deprecated, reason = "what stands in its place is not stable for WASI")]
        Some("symlink") => fs::soft_link(path, value).map(|()| String::from("linked")),
        Some("link") => fs::hard_link(path, value).map(|()| String::from("linked")),
        _ => Ok(String::from("what?")),
    };
    outcome.unwrap_or_else(|_| "refused".into())
}

soloist_sdk::export!(Granted);
