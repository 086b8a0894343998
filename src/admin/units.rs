//! Sizes and times for people, numbers for Prometheus.

/// `12 kB`, `1.5 GB`; in steps of 1024, as `pg_size_pretty` counts.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let (mut amount, mut unit) = (number(count), "B");
    for larger in UNITS {
        if amount < 1024.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, larger);
    }
    if unit == "B" || amount >= 100.0 {
        format!("{amount:.0} {unit}")
    } else {
        format!("{amount:.1} {unit}")
    }
}

/// `0 s`, `4.2 s`, `3 min`, `5 h 10 min`, `2 d 3 h`.
pub(super) fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 if ms == 0 => "0 s".to_owned(),
        0..10 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `1 234 567`, with narrow spaces that do not break.
pub(super) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

/// The nearest floating-point number; exact up to 2^53.
pub(super) fn number(count: u64) -> f64 {
    const HALF: f64 = 4_294_967_296.0;
    let high = u32::try_from(count >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(count & 0xFFFF_FFFF).unwrap_or(u32::MAX);
    f64::from(high) * HALF + f64::from(low)
}

/// The same of a length.
pub(super) fn length(count: usize) -> f64 {
    number(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The same of a number with a sign.
pub(super) fn signed(count: i64) -> f64 {
    let size = number(count.unsigned_abs());
    if count < 0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 kB"),
            (300 << 20, "300 MB"),
            (64 << 30, "64.0 GB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        for (ms, text) in [
            (0, "0 s"),
            (50, "0.0 s"),
            (4_250, "4.2 s"),
            (61_000, "61 s"),
            (600_000, "10 min"),
            (18_600_000, "5 h 10 min"),
            (200_000_000, "2 d 7 h"),
        ] {
            assert_eq!(span(ms), text);
        }
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(grouped(12), "12");
    }

    #[test]
    fn numbers_are_exact_as_far_as_they_can_be() {
        for count in [0, 1, u64::from(u32::MAX), 1 << 32, (1 << 53) - 1] {
            assert_eq!(format!("{}", number(count)), count.to_string());
        }
        assert_eq!(format!("{}", signed(-150)), "-150");
    }
}
