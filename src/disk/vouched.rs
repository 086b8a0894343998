//! JSON files that a checksum vouches for: any changed byte is found.
//!
//! ```text
//! {
//!   "crc32": "0123abcd",     exactly this line first: CRC-32 (IEEE) of every byte after its "\n"
//!   ...                      the rest of the object, opened again with "{" when it is read
//! ```

const START: &str = "{\n  \"crc32\": \"";
const END: &str = "\",\n";

/// The bytes of a file that holds `json`, an object that begins with `{` and a line feed.
pub(crate) fn vouch(json: &str) -> Vec<u8> {
    let rest = json.strip_prefix("{\n").unwrap_or(json);
    let crc = crc32fast::hash(rest.as_bytes());
    format!("{START}{crc:08x}{END}{rest}").into_bytes()
}

/// The object in a file's bytes without its checksum, or what is wrong with them.
pub(crate) fn vouched(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    let (crc, rest) = text
        .strip_prefix(START)
        .and_then(|text| text.split_once(END))
        .ok_or("it does not begin with its checksum")?;
    let found = format!("{:08x}", crc32fast::hash(rest.as_bytes()));
    if crc != found {
        return Err(format!("checksum is {found}, stored {crc:?}"));
    }
    Ok(format!("{{{rest}"))
}
