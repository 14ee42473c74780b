//! A project in C: clang makes one file of all that lies in the folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::BuildError;
use super::made::replace;
use super::tool::Tool;

/// A library that is called, rather than a program that runs from its beginning to its end.
const REACTOR: [&str; 2] = ["--target=wasm32-wasi", "-mexec-model=reactor"];

const REMEDY: &str = "on Debian, `apt-get install clang lld wasi-libc libclang-rt-dev-wasm32`; elsewhere, put the clang of \
                      the WASI SDK (https://github.com/WebAssembly/wasi-sdk) first on the PATH";

pub(super) fn build(
    folder: &Path,
    sources: &[String],
    tell: &mut dyn FnMut(&str),
) -> Result<PathBuf, BuildError> {
    let clang = Tool::new("clang", REMEDY);
    // It takes a moment, and headers can be anywhere: it is made each time.
    replace(
        folder,
        |_| None,
        tell,
        |folder, draft| {
            let mut args = [&REACTOR[..], &["-O2", "-Wall", "-o", draft]].concat();
            args.extend(sources.iter().map(String::as_str));
            clang.run(&args, folder).map_err(|error| match error {
                BuildError::Failed { command, .. } if !is_complete(&clang, folder, draft) => {
                    let advice = format!("this clang lacks what WASI needs: {REMEDY}");
                    BuildError::Failed {
                        command,
                        advice: vec![advice],
                    }
                }
                error => error,
            })
        },
    )
}

/// Whether clang can make a plugin of nothing: it has a linker and a C library for WASI then.
fn is_complete(clang: &Tool, folder: &Path, draft: &str) -> bool {
    let header = ["-include", "stdio.h", "-x", "c", "/dev/null"];
    let args = [&REACTOR[..], &["-o", draft], &header].concat();
    clang.output(&args, folder, Stdio::null()).is_ok()
}
