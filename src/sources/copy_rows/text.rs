//! The fields of a line of the text format.

use super::error::check_utf8;
use super::{CopyError, CopyOptions, Fields};

/// Cuts `line` into fields.
pub(super) fn split(
    options: &CopyOptions,
    line: &str,
    fields: &mut Fields,
) -> Result<(), CopyError> {
    let line = line.as_bytes();
    let (mut begin, mut at) = (0, 0);
    // Bytes that were spelled as numbers may be no characters.
    let mut spelled = false;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        let plain = memchr::memchr2(options.delimiter, b'\\', rest);
        let plain = plain.unwrap_or(rest.len());
        let (data, special) = rest.split_at(plain);
        fields.write(data);
        at += plain;
        match special {
            [b'\\', escaped @ ..] => at += 1 + escape(escaped, fields, &mut spelled),
            [] | [_, ..] => {
                let written = line.get(begin..at).unwrap_or_default();
                if spelled {
                    check_utf8(fields.written())?;
                    spelled = false;
                }
                fields.end(written == options.null.as_bytes());
                if special.is_empty() {
                    return Ok(());
                }
                at += 1;
                begin = at;
            }
        }
    }
}

/// Writes what stands behind a backslash; returns how much of it was used.
fn escape(behind: &[u8], fields: &mut Fields, spelled: &mut bool) -> usize {
    let Some(first) = behind.first() else {
        // A backslash at the end stands for itself.
        fields.write(b"\\");
        return 0;
    };
    let byte = match first {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'0'..=b'7' => {
            let digits = behind.iter().take(3);
            let digits = digits.take_while(|digit| matches!(digit, b'0'..=b'7'));
            let (mut value, mut len) = (0_u32, 0);
            for digit in digits {
                value = value * 8 + u32::from(digit - b'0');
                len += 1;
            }
            let [byte, ..] = value.to_le_bytes();
            *spelled |= byte >= 0x80 || byte == 0;
            fields.write(&[byte]);
            return len;
        }
        b'x' => {
            let digits = behind.iter().skip(1).take(2);
            let digits = digits.map_while(|digit| char::from(*digit).to_digit(16));
            let (mut value, mut len) = (0, 0);
            for digit in digits {
                value = value * 16 + digit;
                len += 1;
            }
            if len == 0 {
                fields.write(b"x");
                return 1;
            }
            let [byte, ..] = value.to_le_bytes();
            *spelled |= byte >= 0x80 || byte == 0;
            fields.write(&[byte]);
            return len + 1;
        }
        other => *other,
    };
    fields.write(&[byte]);
    1
}
