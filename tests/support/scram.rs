//! The client's side of SCRAM, step by step, with every mistake that a test wants.

use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

use super::{Message, RawClient, message};

/// One side of an exchange up to the last message that is still to be sent.
pub struct Exchange {
    pub offered: Message,
    pub first: String,
    pub last: Vec<u8>,
}

impl Exchange {
    pub fn iterations(&self) -> &str {
        self.first.rsplit_once(",i=").unwrap().1
    }

    pub fn salt(&self) -> Vec<u8> {
        let salt = self.first.split(",s=").nth(1).unwrap();
        STANDARD.decode(salt.split(',').next().unwrap()).unwrap()
    }
}

/// What the client says of the channel.
pub struct Channel<'a> {
    pub mechanism: &'a str,
    /// In its first message.
    pub flag: &'a str,
    /// Behind the flag in its last one.
    pub binding: &'a [u8],
}

/// Nothing.
pub const UNBOUND: Channel<'_> = Channel {
    mechanism: "SCRAM-SHA-256",
    flag: "n,,",
    binding: b"",
};

const BARE: &str = "n=,r=abcdefghijklmnop";

/// A SASLInitialResponse.
pub fn initial(mechanism: &str, data: &str) -> Vec<u8> {
    let mut body = format!("{mechanism}\0").into_bytes();
    body.extend_from_slice(&(data.len() as u32).to_be_bytes());
    body.extend_from_slice(data.as_bytes());
    message(b'p', &body)
}

/// The first message of a client that says this of the channel.
pub fn first_on(channel: &Channel<'_>) -> Vec<u8> {
    initial(channel.mechanism, &format!("{}{BARE}", channel.flag))
}

/// Goes to the client's last message, which proves `password`.
pub fn exchange<S: Read + Write>(client: &mut RawClient<S>, password: &str) -> Exchange {
    exchange_on(client, password, &UNBOUND)
}

/// The same on a channel.
pub fn exchange_on<S: Read + Write>(
    client: &mut RawClient<S>,
    password: &str,
    channel: &Channel<'_>,
) -> Exchange {
    let offered = client.read().unwrap();
    assert_eq!(offered.body[..4], [0, 0, 0, 10], "{offered:?}");
    client.raw(&first_on(channel));
    let first = client.read().unwrap();
    assert_eq!(first.body[..4], [0, 0, 0, 11], "{first:?}");
    let first = String::from_utf8(first.body[4..].to_vec()).unwrap();
    let nonce = first.split(',').next().unwrap();
    let bound = STANDARD.encode([channel.flag.as_bytes(), channel.binding].concat());
    let without_proof = format!("c={bound},{nonce}");
    let mut exchange = Exchange {
        offered,
        first,
        last: vec![],
    };
    let mut salted = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        exchange.iterations().parse().unwrap(),
        &exchange.salt(),
        password.as_bytes(),
        &mut salted,
    );
    let sign = |key: &[u8], text: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::sign(&key, text).as_ref().to_vec()
    };
    let client_key = sign(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, &client_key);
    let words = format!("{BARE},{},{without_proof}", exchange.first);
    let signature = sign(stored_key.as_ref(), words.as_bytes());
    let proof: Vec<u8> = client_key
        .iter()
        .zip(&signature)
        .map(|(a, b)| a ^ b)
        .collect();
    let last = format!("{without_proof},p={}", STANDARD.encode(proof));
    exchange.last = message(b'p', last.as_bytes());
    exchange
}
