//! Any bytes as a message; used by `fuzz/`.

use super::{Context, Message, Protocol};

/// A first byte says the context, the rest is a message: what is one is written as it was read.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((&first, message)) = bytes.split_first() else {
        return;
    };
    let context = Context {
        protocol: Protocol::from_number(u32::from(first & 3) + 1).unwrap_or(Protocol::NEWEST),
        parallel: first & 4 != 0,
        in_stream: first & 8 != 0,
    };
    match Message::decode(message, context) {
        Ok(decoded) => {
            let mut again = Vec::new();
            let encoded = decoded.encode(&mut again);
            assert_eq!(encoded, Ok(()), "a message that was read can be written");
            assert_eq!(again, message, "it is written as it was read");
        }
        Err(error) => assert!(error.offset <= message.len(), "{error}"),
    }
}
