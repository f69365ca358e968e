//! Python's ways to write text in a line, and the names of what is refused.

/// The beginning of what a hostile file says at length.
pub(super) fn short(text: &str) -> String {
    text.chars().take(32).flat_map(char::escape_debug).collect()
}

/// `'a\x00b'`: the `repr` of bytes under Python 2.
pub(super) fn quoted(line: &str) -> Option<Vec<u8>> {
    let quote = line.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = line.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match rest.next()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => (digit(rest.next()?)? << 4 | digit(rest.next()?)?) as u8,
            other @ (b'\\' | b'\'' | b'"') => other,
            _ => return None,
        });
    }
    Some(out)
}

/// `a\u005c`: raw-unicode-escape, in which only `\uXXXX` and `\UXXXXXXXX` are special and every other byte is a letter of
/// latin1. NumPy's arrays under protocol 0 come through here.
pub(super) fn escaped(line: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = match (byte, tail.first()) {
            (b'\\', Some(b'u')) => 4,
            (b'\\', Some(b'U')) => 8,
            _ => {
                out.push(char::from(byte));
                rest = tail;
                continue;
            }
        };
        let code = tail.get(1..=digits)?.iter().try_fold(0u32, |code, byte| Some(code << 4 | digit(*byte)?))?;
        out.push(char::from_u32(code)?);
        rest = &tail[digits + 1..];
    }
    Some(out)
}

fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

/// Why an instruction is not followed.
pub(super) fn forbidden(code: u8) -> String {
    let name = match code {
        b'i' => "INST (makes an object of any class)",
        b'o' => "OBJ (makes an object of any class)",
        0x81 => "NEWOBJ (makes an object of any class)",
        0x92 => "NEWOBJ_EX (makes an object of any class)",
        b'P' | b'Q' => "PERSID (asks the program for an object)",
        0x82..=0x84 => "EXT (asks a registry for an object)",
        0x97 | 0x98 => "BUFFER (asks for data outside the file)",
        b'0'..=b'2' => "POP or DUP",
        0x8F..=0x91 => "a set",
        _ => return format!("0x{code:02x} is no pickle instruction"),
    };
    format!("the instruction {name} is refused: only arrays, numbers, text, lists and dicts are read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_old_protocols() {
        assert_eq!(quoted(r"'a\x00\'\n'").unwrap(), b"a\0'\n");
        assert!(quoted("'a").is_none() && quoted(r"'\x0'").is_none() && quoted("").is_none() && quoted("'").is_none());
        assert_eq!(escaped(b"a\\u005c\\n\xE9").unwrap(), "a\\\\n\u{e9}");
        assert!(escaped(br"\u00").is_none() && escaped(br"\ud800").is_none());
    }
}
