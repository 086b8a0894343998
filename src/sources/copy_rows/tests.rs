use super::*;

type Rows = Vec<Vec<Option<String>>>;

/// The rows of `data` that comes in pieces of `len` bytes, and the error that ends it.
fn read(options: &CopyOptions, data: &[u8], len: usize) -> (Rows, Option<CopyError>) {
    let columns = vec!["a".to_owned(), "b".to_owned()];
    let mut decoder = RowDecoder::new(options.clone(), columns, 1000);
    let (mut rows, mut fields) = (Vec::new(), Fields::default());
    let pieces: Vec<&[u8]> = data.chunks(len).chain([&[][..]]).collect();
    for (index, piece) in pieces.iter().enumerate() {
        decoder.feed(piece);
        loop {
            match decoder.next(index + 1 == pieces.len(), &mut fields) {
                Ok(true) => {
                    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
                    rows.push(fields.iter().map(|field| field.map(text)).collect());
                }
                Ok(false) => break,
                Err(error) => return (rows, Some(error)),
            }
        }
    }
    (rows, None)
}

fn rows(of: &[&[Option<&str>]]) -> Rows {
    let row = |row: &&[Option<&str>]| row.iter().map(|f| f.map(str::to_owned)).collect();
    of.iter().map(row).collect()
}

#[test]
fn however_data_is_cut_the_rows_are_the_same() {
    let text = CopyOptions::of(CopyFormat::Text);
    let csv = CopyOptions::of(CopyFormat::Csv);
    let binary = CopyOptions::of(CopyFormat::Binary);
    let cases: [(&CopyOptions, &[u8], Rows); 8] = [
        (
            &text,
            b"1\tx\n\\N\t\n",
            rows(&[&[Some("1"), Some("x")], &[None, Some("")]]),
        ),
        (
            &text,
            b"a\\\nb\t\\x41\\102\r\nc\td\r\n",
            rows(&[&[Some("a\nb"), Some("AB")], &[Some("c"), Some("d")]]),
        ),
        (
            &text,
            b"1\t2\r3\t4",
            rows(&[&[Some("1"), Some("2")], &[Some("3"), Some("4")]]),
        ),
        (
            &text,
            b"1\t2\n\\.\nrubbish",
            rows(&[&[Some("1"), Some("2")]]),
        ),
        (
            &csv,
            b"1,\"a,\"\"b\"\r\n,\"\"\r\n",
            rows(&[&[Some("1"), Some("a,\"b")], &[None, Some("")]]),
        ),
        (
            &csv,
            b"\"x\r\ny\",\\.\n",
            rows(&[&[Some("x\r\ny"), Some("\\.")]]),
        ),
        (&csv, b"1,2\n\\.\n3,4\n", rows(&[&[Some("1"), Some("2")]])),
        (
            &binary,
            b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x02xy\0\x02\0\0\0\x01a\xff\xff\xff\xff\xff\xff",
            rows(&[&[Some("a"), None]]),
        ),
    ];
    for (options, data, expected) in cases {
        for len in 1..=data.len() {
            let found = read(options, data, len);
            assert_eq!(found, (expected.clone(), None), "{data:?} by {len}");
        }
    }
}

#[test]
fn what_is_no_row_is_an_error_however_it_is_cut() {
    let of = CopyOptions::of;
    let cases: [(CopyFormat, &[u8], CopyError); 8] = [
        (CopyFormat::Text, b"1\t2\t3\n", CopyError::ExtraData),
        (CopyFormat::Text, b"1\t2\n\\.x\n", CopyError::MarkerCorrupt),
        (CopyFormat::Text, b"1\t2\n\\.\r\n", CopyError::MarkerStyle),
        (
            CopyFormat::Text,
            b"1\t\\xff\n",
            CopyError::Encoding("0xff".to_owned()),
        ),
        (
            CopyFormat::Text,
            b"1\t\xe4b\n",
            CopyError::Encoding("0xe4 0x62 0x0a".to_owned()),
        ),
        (CopyFormat::Csv, b"1,\"2\n", CopyError::UnterminatedQuote),
        (
            CopyFormat::Csv,
            b"1,2\n3,\r4\n",
            CopyError::StrayEnd {
                quoted: true,
                newline: false,
            },
        ),
        (
            CopyFormat::Binary,
            b"PGCOPX\n\xff\r\n\0\0\0\0\0\0\0\0\0",
            CopyError::Binary("COPY file signature not recognized".to_owned()),
        ),
    ];
    for (format, data, expected) in cases {
        for len in 1..=data.len() {
            let (_, found) = read(&of(format), data, len);
            // How much of a broken character is there depends on the line's end.
            let is_broken = matches!(&found, Some(CopyError::Encoding(shown))
                if shown.starts_with("0xe4") && matches!(expected, CopyError::Encoding(_)));
            let found = if is_broken {
                Some(expected.clone())
            } else {
                found
            };
            assert_eq!(found, Some(expected.clone()), "{data:?} by {len}");
        }
    }
}

#[test]
fn no_line_and_no_row_is_kept_beyond_the_limit() {
    let long = vec![b'x'; 5000];
    for (format, data) in [
        (CopyFormat::Text, long.clone()),
        (CopyFormat::Csv, [b"\"".to_vec(), long].concat()),
        (
            CopyFormat::Binary,
            [
                b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02\0\xff\xff\xff".to_vec(),
                vec![0; 5000],
            ]
            .concat(),
        ),
    ] {
        let (_, found) = read(&CopyOptions::of(format), &data, 100);
        assert!(
            matches!(found, Some(CopyError::TooLong { .. })),
            "{found:?}"
        );
    }
}

#[test]
fn a_headers_extension_is_passed_over_and_not_kept() {
    let columns = vec!["a".to_owned()];
    let mut decoder = RowDecoder::new(CopyOptions::of(CopyFormat::Binary), columns, 1000);
    let mut fields = Fields::default();
    decoder.feed(b"PGCOPY\n\xff\r\n\0\0\0\0\0\x7f\xff\xff\xffxyz");
    assert_eq!(decoder.next(false, &mut fields), Ok(false));
    let piece = vec![b'x'; (1 << 20) - 1];
    let mut left = (1usize << 31) - 1 - 3;
    while left > 0 {
        let len = left.min(piece.len());
        left -= len;
        decoder.feed(&piece[..len]);
        assert_eq!(decoder.next(false, &mut fields), Ok(false));
    }
    assert!(decoder.held() <= 1 << 20, "{}", decoder.held());
    decoder.feed(b"\0\x01\0\0\0\x01a\xff\xff");
    assert_eq!(decoder.next(false, &mut fields), Ok(true));
    assert_eq!(fields.iter().collect::<Vec<_>>(), [Some(&b"a"[..])]);
    assert_eq!(decoder.next(true, &mut fields), Ok(false));
}

#[test]
fn a_header_that_ends_in_its_extension_is_wrong() {
    let data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\x05xy";
    for len in 1..=data.len() {
        let (_, found) = read(&CopyOptions::of(CopyFormat::Binary), data, len);
        let wanted = "invalid COPY file header (wrong length)".to_owned();
        assert_eq!(found, Some(CopyError::Binary(wanted)), "by {len}");
    }
}

#[test]
fn a_row_in_many_pieces_is_read_once() {
    const NUM_COLUMNS: usize = 1600;
    let columns = vec!["a".to_owned(); NUM_COLUMNS];
    let of = CopyOptions::of(CopyFormat::Binary);
    let mut decoder = RowDecoder::new(of, columns, 1 << 30);
    let mut fields = Fields::default();
    let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\x06\x40".to_vec();
    for _ in 0..NUM_COLUMNS {
        data.extend_from_slice(&10_000_u32.to_be_bytes());
        data.resize(data.len() + 10_000, b'x');
    }
    let began = std::time::Instant::now();
    // Copying the fields again for each piece would move more than a terabyte.
    for piece in data.chunks(100) {
        assert_eq!(decoder.next(false, &mut fields), Ok(false));
        assert!(fields.is_empty());
        decoder.feed(piece);
    }
    assert_eq!(decoder.next(true, &mut fields), Ok(true));
    assert_eq!(fields.len(), NUM_COLUMNS);
    assert!(
        fields
            .iter()
            .all(|field| field.is_some_and(|field| field.len() == 10_000))
    );
    let took = began.elapsed();
    assert!(took < std::time::Duration::from_secs(60), "{took:?}");
}
