//! Seeded mutations, for runs that must be short and the same everywhere.

use soloist_seed::Random;

/// Numbers at which code changes its mind, as the one to five bytes that WebAssembly writes them in.
const NUMBERS: [&[u8]; 8] = [
    &[0],
    &[1],
    &[0x7f],
    &[0x80, 0x01],
    &[0xff, 0xff, 0x03],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0x80, 0x80, 0x80, 0x80, 0x78],
];

/// A mutation of `input`: one to four changes, some of which take a piece of `other`.
pub(crate) fn mutated(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = place(bytes.len() + 1, random);
        let end = at + place((bytes.len() - at + 1).min(32), random);
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            3 => {
                let from = place(other.len() + 1, random);
                let length = place((other.len() - from + 1).min(64), random);
                bytes.splice(at..end, other[from..from + length].iter().copied());
            }
            4 => {
                let number = NUMBERS[place(NUMBERS.len(), random)];
                bytes.splice(at..(at + 1).min(bytes.len()), number.iter().copied());
            }
            5 => {
                let byte = random.next().to_le_bytes()[0];
                bytes.insert(at, byte);
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes
}

/// A number below `bound`.
fn place(bound: usize, random: &mut Random) -> usize {
    usize::try_from(random.below(bound as u64)).expect("it is below a usize")
}
