//! Texts that strangers chose, cut to a reasonable length.

use std::error::Error;
use std::fmt::{self, Write};

/// How long the text of a failure may be, in bytes; what is longer is cut.
pub(crate) const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// A longer name of a function is reported as it is, not as it was in Rust.
const MANGLED_BYTES_MAX: usize = 4096;

/// How much of a name that a stranger chose is reported, in bytes.
const NAME_BYTES: usize = 256;

/// The name of a function or a module on one line, and as it was in Rust if it was there.
pub(crate) fn name(name: &str) -> String {
    let mut bounded = Bounded::of(NAME_BYTES);
    // It ends where there is no more room.
    let _ = match name.len() {
        ..=MANGLED_BYTES_MAX => write!(bounded, "{:#}", rustc_demangle::demangle(name)),
        _ => bounded.write_str(name),
    };
    bounded.text.replace('\n', " ")
}

/// A text that a stranger chose, as far as it is of a reasonable length.
pub(crate) fn shortened(text: &impl fmt::Display) -> String {
    let mut bounded = Bounded::of(NAME_BYTES);
    // It ends where there is no more room.
    let _ = write!(bounded, "{text}");
    bounded.text
}

/// The error with all its sources, on one line, as far as it is of a reasonable length.
pub(crate) fn describe(error: &dyn Error) -> String {
    let mut bounded = Bounded::of(MAX_MESSAGE_BYTES);
    // It ends where there is no more room.
    let _ = describe_to(&mut bounded, error);
    bounded.text
}

fn describe_to(text: &mut Bounded, error: &dyn Error) -> fmt::Result {
    write!(text, "{error}")?;
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, ": {error}")?;
        source = error.source();
    }
    Ok(())
}

/// Takes so many bytes of text, and then fails: whoever writes stops there.
struct Bounded {
    text: String,
    room: usize,
}

impl Bounded {
    fn of(room: usize) -> Self {
        Self {
            text: String::new(),
            room,
        }
    }
}

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = &text[..text.floor_char_boundary(self.room)];
        self.text.push_str(taken);
        self.room -= taken.len();
        if taken.len() == text.len() {
            return Ok(());
        }
        self.text.push('…');
        self.room = 0;
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_end_ends() {
        struct Endless;
        impl fmt::Display for Endless {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                loop {
                    f.write_str("and so on ")?;
                }
            }
        }
        let mut bounded = Bounded::of(25);
        assert!(write!(bounded, "{Endless}").is_err());
        assert_eq!(bounded.text, "and so on and so on and s…");
        assert_eq!(name(&"é".repeat(1000)).len(), NAME_BYTES + '…'.len_utf8());
        assert_eq!(name("short"), "short");
        assert_eq!(
            name("_ZN9misbehave7recurse17hc1ed8e15f0e588d0E"),
            "misbehave::recurse"
        );
        // A pair of pairs of pairs, 40 deep: all of them but the first by reference.
        let references = "lBL_EBK_EBJ_EBI_EBH_EBG_EBF_EBE_EBD_EBC_EBB_EBA_EBz_EBy_EBx_EBw_EBv_EBu_EBt_EBs_EBr_EBq_EBp_EBo_EBn_EBm_\
                          EBl_EBk_EBj_EBi_EBh_EBg_EBf_EBe_EBd_EBc_EBb_EBa_EB9_EB8_E";
        let spelt = name(&format!("_RINvC1a1f{}{references}E", "T".repeat(40)));
        assert!(
            spelt.starts_with("a::f::<((((") && spelt.len() <= NAME_BYTES + '…'.len_utf8(),
            "{spelt}"
        );
    }
}
