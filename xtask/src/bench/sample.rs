//! A build context as an ML project has it: many small text files, a few large binary ones. Always the same bytes.

use std::path::Path;

use anyhow::Result;

use super::write_file;

const SMALL_FILES: usize = 2000;
const SMALL_SIZE: usize = 4 * 1024;
const LARGE_FILES: usize = 4;
const LARGE_SIZE: usize = 8 * 1024 * 1024;
const WORDS: [&str; 16] = [
    "import", "return", "self", "tensor", "model", "batch", "loss", "0.001", "=", "(", ")", ":\n    ", "def",
    "for", "in", "\n",
];

/// Writes the context, with a Dockerfile that copies all of it.
pub(crate) fn write(root: &Path) -> Result<()> {
    let mut random = Random(1);
    for number in 0..SMALL_FILES {
        let path = format!("src/package{}/module{number}.py", number % 50);
        write_file(&root.join(path), text(&mut random).as_bytes())?;
    }
    for number in 0..LARGE_FILES {
        write_file(
            &root.join(format!("weights/layer{number}.bin")),
            &bytes(&mut random),
        )?;
    }
    let dockerfile = "FROM wharf-test/busybox:1\nWORKDIR /app\nCOPY . .\nRUN find . | wc -l\n";
    write_file(&root.join("Dockerfile"), dockerfile.as_bytes())
}

/// Writes a context of large files alone, of so many MiB in all.
pub(super) fn write_weights(root: &Path, mebibytes: usize) -> Result<()> {
    let mut random = Random(1);
    for number in 0..(mebibytes << 20) / LARGE_SIZE {
        write_file(&root.join(format!("layer{number}.bin")), &bytes(&mut random))?;
    }
    write_file(&root.join("Dockerfile"), b"FROM scratch\nCOPY . /\n")
}

/// Writes a context of so many MiB in all, four fifths of them in large files and the rest in small ones.
pub(super) fn write_project(root: &Path, mebibytes: usize) -> Result<()> {
    let large = (mebibytes << 20) * 4 / 5;
    write_weights(root, large >> 20)?;
    let mut random = Random(2);
    for number in 0..((mebibytes << 20) - large) / SMALL_SIZE {
        let path = format!("src/package{}/module{number}.py", number % 500);
        write_file(&root.join(path), text(&mut random).as_bytes())?;
    }
    Ok(())
}

/// Words as in code, so that it compresses as code does.
fn text(random: &mut Random) -> String {
    let mut text = String::with_capacity(SMALL_SIZE + 16);
    while text.len() < SMALL_SIZE {
        text += WORDS[random.below(WORDS.len())];
        text += " ";
    }
    text
}

/// Numbers as in weights: half of the bytes are noise, the others vary little.
fn bytes(random: &mut Random) -> Vec<u8> {
    (0..LARGE_SIZE / 2)
        .flat_map(|_| {
            let [noise, exponent, ..] = random.next().to_le_bytes();
            [noise, 0x3c | (exponent & 3)]
        })
        .collect()
}

/// Xorshift: not for secrets, the same on every machine.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_have_their_size_and_never_change() {
        assert!((SMALL_SIZE..SMALL_SIZE + 16).contains(&text(&mut Random(1)).len()));
        assert_eq!(bytes(&mut Random(1)).len(), LARGE_SIZE);
        assert_eq!(text(&mut Random(7)), text(&mut Random(7)));
        assert_ne!(text(&mut Random(7)), text(&mut Random(8)));
    }
}
