//! The bytes of frames: golden vectors R-G1 to R-G7 and every damage to one frame.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    missing_docs
)]

use pgspool::lsn::Lsn;
use pgspool::spool::MAX_PAYLOAD;
use pgspool::spool::frame::{
    self, Decoded, FrameFault, FrameVersion, RawFrame, decode, decode_v3, encode,
    encode_with_number, fault_at_end,
};

const G1: &str =
    "52444c570307000000000000002a000000000000006300000000000000070000007061796c6f61644faecd90";
const G2: &str = "52444c5703070000000000000000000000000000002a000000000000006300000000000000070000007061796c6f6164c5e2846e";
const G3: &str = "52444c5703070000000000000005000000000000002a000000000000006300000000000000070000007061796c6f6164afa68029";
const G4: &str = "52444c570203000000000000002c00000000000000060000006c6567616379f9909ddf";
const G5: &str = "52444c5701010000000000000006000000000000006f6c64657374";
const G6: &str = "52444c57030100000000000000010000000000000000000000000000000000000011688eca";
const G7: &str = "52444c57030100000000000000090000000000000001000000000000005b0000007b22636f6c6c656374696f6e223a2275222c226b696e64223a22726f77222c226c736e223a392c226f7065726174696f6e223a2264656c657465222c22726964223a352c227465726d223a312c2274696d657374616d70223a317dbdade3d2";
const DELETE: &[u8] = br#"{"collection":"u","kind":"row","lsn":9,"operation":"delete","rid":5,"term":1,"timestamp":1}"#;

fn bytes(hex_text: &str) -> Vec<u8> {
    hex::decode(hex_text).unwrap()
}

fn whole(buf: &[u8]) -> RawFrame<'_> {
    match decode(buf) {
        Decoded::Frame(frame) => frame,
        other @ (Decoded::Incomplete { .. } | Decoded::Bad(_)) => panic!("not a frame: {other:?}"),
    }
}

fn encoded(term: u64, lsn: u64, ms: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out, term, Lsn::new(lsn), ms, payload);
    out
}

/// A v3/41 frame, which is read and never written.
fn epoch_frame(term: u64, epoch: u64, lsn: u64, ms: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = b"RDLW\x03".to_vec();
    for field in [term, epoch, lsn, ms] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(payload);
    let crc = crc32fast::hash(&out[4..]);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

#[track_caller]
fn decodes(text: &str, version: FrameVersion, numbers: [Option<u64>; 4], payload: &[u8]) {
    let buf = bytes(text);
    let [term, epoch, lsn, ms] = numbers;
    let want = RawFrame {
        version,
        term,
        epoch,
        lsn: Lsn::new(lsn.unwrap()),
        timestamp_ms: ms.unwrap(),
        payload,
        len: buf.len(),
    };
    assert_eq!(whole(&buf), want);
    let followed = [buf.as_slice(), b"anything"].concat();
    assert_eq!(
        whole(&followed),
        want,
        "bytes behind a frame change nothing"
    );
    for cut in 0..buf.len() {
        match decode(&buf[..cut]) {
            Decoded::Incomplete { needed } => {
                assert!(
                    needed > cut && needed <= buf.len(),
                    "prefix {cut}: {needed}"
                );
            }
            other @ (Decoded::Frame(_) | Decoded::Bad(_)) => panic!("prefix {cut}: {other:?}"),
        }
    }
}

#[test]
fn rg1_v3() {
    let numbers = [Some(7), None, Some(42), Some(99)];
    decodes(G1, FrameVersion::V3, numbers, b"payload");
    assert_eq!(encoded(7, 42, 99, b"payload"), bytes(G1));
}

#[test]
fn rg2_v3_with_an_empty_epoch() {
    let numbers = [Some(7), None, Some(42), Some(99)];
    let buf = bytes(G2);
    let frame = whole(&buf);
    assert_eq!(frame.version, FrameVersion::V3Epoch);
    assert_eq!([frame.term, frame.epoch], numbers[..2]);
    assert_eq!((frame.lsn, frame.timestamp_ms), (Lsn::new(42), 99));
    assert_eq!((frame.payload, frame.len), (&b"payload"[..], buf.len()));
    assert_eq!(epoch_frame(7, 0, 42, 99, b"payload"), buf);
}

#[test]
fn rg3_v3_with_an_epoch() {
    let numbers = [Some(7), Some(5), Some(42), Some(99)];
    let buf = bytes(G3);
    let frame = whole(&buf);
    assert_eq!(frame.version, FrameVersion::V3Epoch);
    assert_eq!([frame.term, frame.epoch], numbers[..2]);
    assert_eq!(epoch_frame(7, 5, 42, 99, b"payload"), buf);
}

#[test]
fn rg4_v2() {
    let numbers = [None, None, Some(3), Some(44)];
    decodes(G4, FrameVersion::V2, numbers, b"legacy");
}

#[test]
fn rg5_v1() {
    let numbers = [None, None, Some(1), Some(0)];
    decodes(G5, FrameVersion::V1, numbers, b"oldest");
}

#[test]
fn rg6_v3_with_an_empty_payload() {
    let numbers = [Some(1), None, Some(1), Some(0)];
    let buf = bytes(G6);
    assert_eq!(whole(&buf).payload, b"");
    assert_eq!(whole(&buf).term, numbers[0]);
    assert_eq!(encoded(1, 1, 0, b""), buf);
}

#[test]
fn rg7_v3_of_a_change_record() {
    let numbers = [Some(1), None, Some(9), Some(1)];
    decodes(G7, FrameVersion::V3, numbers, DELETE);
    assert_eq!(encoded(1, 9, 1, DELETE), bytes(G7));
}

#[test]
fn r114_v3_keeps_term_and_timestamp() {
    let buf = encoded(7, 42, 99, b"payload");
    let frame = whole(&buf);
    assert_eq!((frame.version, frame.term), (FrameVersion::V3, Some(7)));
    assert_eq!((frame.lsn, frame.timestamp_ms), (Lsn::new(42), 99));
    assert_eq!(decode_v3(&buf), Decoded::Frame(frame));
}

#[test]
fn a_number_is_written_into_the_hole() {
    for number in [0, 7, 10, 99, 1 << 53, u64::MAX - 1, u64::MAX] {
        let mut with_hole = Vec::new();
        let lsn = Lsn::new(number);
        encode_with_number(&mut with_hole, 3, lsn, 5, b"{\"lsn\":", number, b"}");
        let plain = format!("{{\"lsn\":{number}}}");
        assert_eq!(with_hole, encoded(3, number, 5, plain.as_bytes()));
    }
}

#[test]
fn numbers_are_exact_to_the_largest() {
    let buf = encoded(u64::MAX, u64::MAX, u64::MAX, b"x");
    let frame = whole(&buf);
    assert_eq!((frame.term, frame.lsn), (Some(u64::MAX), Lsn::MAX));
    assert_eq!(frame.timestamp_ms, u64::MAX);
}

#[test]
fn every_flipped_bit_of_a_checked_frame_is_noticed() {
    for text in [G1, G2, G3, G4, G6, G7] {
        let good = bytes(text);
        for byte in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[byte] ^= 1 << bit;
                match decode(&bad) {
                    // Version 3 -> 1: LSN or epoch becomes the length, and v1 has no checksum.
                    // Only the reader of a whole file sees that no frame follows.
                    Decoded::Frame(frame) if (bad[byte], byte) == (1, 4) => {
                        assert_eq!(frame.version, FrameVersion::V1);
                    }
                    Decoded::Frame(frame) => panic!("{text}: byte {byte} bit {bit}: {frame:?}"),
                    Decoded::Bad(_) | Decoded::Incomplete { .. } => {}
                }
            }
        }
    }
}

#[test]
fn only_the_33_byte_layout_is_taken_by_decode_v3() {
    for text in [G2, G3, G4, G5] {
        let taken = matches!(decode_v3(&bytes(text)), Decoded::Frame(_));
        assert!(!taken, "{text}");
    }
    let epoch = epoch_frame(1, 2, 3, u64::from(u32::MAX) << 32, b"p");
    assert!(matches!(
        decode_v3(&epoch),
        Decoded::Bad(FrameFault::CrcMismatch { .. })
    ));
}

#[test]
fn a_41_byte_header_whose_time_looks_like_a_length_is_read() {
    // Low half of the time stamp where the 33-byte reading has the payload's length.
    for low in [
        0_u32,
        1,
        4,
        11,
        12,
        1000,
        MAX_PAYLOAD as u32,
        MAX_PAYLOAD as u32 + 1,
    ] {
        let ms = (0x0123_u64 << 32) | u64::from(low);
        for payload in [&b""[..], b"p", b"0123456789"] {
            let buf = epoch_frame(7, 5, 42, ms, payload);
            let frame = whole(&buf);
            assert_eq!(frame.version, FrameVersion::V3Epoch, "low {low}");
            assert_eq!((frame.timestamp_ms, frame.payload), (ms, payload));
            for cut in 0..buf.len() {
                let cut = decode(&buf[..cut]);
                assert!(
                    matches!(cut, Decoded::Incomplete { .. }),
                    "low {low}: {cut:?}"
                );
            }
        }
    }
}

#[test]
fn the_limit_is_inclusive() {
    let header = |len: u32| {
        let mut buf = bytes(G6)[..29].to_vec();
        buf.extend_from_slice(&len.to_le_bytes());
        buf
    };
    let needed = MAX_PAYLOAD + frame::OVERHEAD;
    let buf = header(MAX_PAYLOAD as u32);
    assert_eq!(decode_v3(&buf), Decoded::Incomplete { needed });
    let fault = FrameFault::ImplausibleLength {
        len: (MAX_PAYLOAD + 1) as u64,
        v1: false,
    };
    assert_eq!(
        decode_v3(&header(MAX_PAYLOAD as u32 + 1)),
        Decoded::Bad(fault)
    );
    let mut old = bytes(G5)[..13].to_vec();
    old.extend_from_slice(&u64::MAX.to_le_bytes());
    let fault = FrameFault::ImplausibleLength {
        len: u64::MAX,
        v1: true,
    };
    assert_eq!(decode(&old), Decoded::Bad(fault));
}

#[test]
fn faults_are_told_in_reddbs_words() {
    let mut flipped = bytes(G1);
    flipped[33] ^= 1;
    let mut version = bytes(G1);
    version[4] = 0x63;
    let big = FrameFault::ImplausibleLength {
        len: 300_000_000,
        v1: true,
    };
    for (buf, want) in [
        (&b"NOPE"[..], "bad magic at offset 9: got [78, 79, 80, 69]"),
        (&version, "unsupported version 99 at offset 9"),
    ] {
        let Decoded::Bad(fault) = decode(buf) else {
            panic!("{want}")
        };
        assert_eq!(fault.at(9), want);
    }
    let Decoded::Bad(fault) = decode_v3(&flipped) else {
        panic!()
    };
    assert!(
        fault
            .at(9)
            .starts_with("crc mismatch at offset 9: stored 0x90cdae4f, expected 0x")
    );
    assert_eq!(
        big.at(1),
        "v1 implausible payload_len 300000000 at offset 1"
    );
}

#[test]
fn a_frame_that_ends_early_says_in_which_field() {
    for (text, cut, want) in [
        (G1, 4, "torn header"),
        (G1, 12, "torn term"),
        (G1, 20, "torn lsn"),
        (G1, 28, "torn timestamp"),
        (G1, 32, "torn payload length"),
        (G1, 39, "torn payload"),
        (G1, 43, "torn crc"),
        (G4, 20, "torn timestamp"),
        (G4, 24, "torn payload length"),
        (G4, 30, "torn payload"),
        (G4, 33, "torn crc"),
        (G5, 12, "v1 torn lsn"),
        (G5, 20, "v1 torn payload length"),
        (G5, 26, "v1 torn payload"),
    ] {
        let fault = fault_at_end(&bytes(text)[..cut]);
        assert_eq!(fault.to_string(), want, "{text} cut at {cut}");
    }
    let mut flipped = bytes(G1);
    flipped[33] ^= 1;
    assert!(matches!(
        fault_at_end(&flipped),
        FrameFault::CrcMismatch { .. }
    ));
}

#[test]
fn no_bytes_make_it_panic() {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for round in 0..20_000_u32 {
        let mut buf = b"RDLW\x03".to_vec();
        buf[4] = (round % 4) as u8;
        for _ in 0..(round % 80) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            buf.push(if state & 3 == 0 {
                (state >> 8) as u8
            } else {
                0
            });
        }
        let _ = decode(&buf);
        let _ = decode_v3(&buf);
        let _ = fault_at_end(&buf);
    }
}
