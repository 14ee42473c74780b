//! The code that a plugin exits with.
//!
//! The C library below Rust's, for WASI 0.2, tells a host only whether an exit is a success. This stands in the place of its
//! last step, and tells the code.

mod bindings {
    #![allow(missing_docs, clippy::pedantic)]

    wit_bindgen::generate!({
        inline: "
            package soloist:exit;

            package wasi:cli@0.2.12 {
                interface exit {
                    exit: func(status: result);
                    exit-with-code: func(status-code: u8);
                }
            }

            world exits {
                import wasi:cli/exit@0.2.12;
            }
        ",
        generate_all,
    });
}

/// Ends the plugin.
#[unsafe(no_mangle)]
extern "C" fn _Exit(code: i32) -> ! {
    // As on Unix, the lowest eight bits are told.
    bindings::wasi::cli::exit::exit_with_code(code.to_le_bytes()[0]);
    std::process::abort()
}
