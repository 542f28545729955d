//! Pictures that are broken or too large: a clear error, at once, and without memory.

use crate::formats::stored_zlib;
use crate::samples::*;
use darkroom_proto::{ErrorClass, StepError};
use darkroom_worker::media::*;
use std::time::{Duration, Instant};

struct Bad {
    name: &'static str,
    bytes: Vec<u8>,
    class: ErrorClass,
    code: &'static str,
}

/// Everything that must be refused.
fn corpus() -> Vec<Bad> {
    use ErrorClass::{InvalidInput, TooLarge, UnsupportedFormat};
    let bad = |name, bytes, class, code| Bad { name, bytes, class, code };
    let picture = photo(300, 200);
    let (png, jpeg, webp, gif_one) = (png(&picture), jpeg(&picture), webp(&picture), gif(4, 4, 1));
    let lossless = encode(&picture, Encoding::WebPLossless).unwrap();

    let mut list = vec![
        bad("empty", vec![], UnsupportedFormat, "unsupported_format"),
        bad("text named .png", b"not a picture\n".to_vec(), UnsupportedFormat, "unsupported_format"),
        bad("a web page", b"<!doctype html><h1>404</h1>".to_vec(), UnsupportedFormat, "unsupported_format"),
        bad("a film", b"\0\0\0\x20ftypisom\0\0\0\0".to_vec(), UnsupportedFormat, "unsupported_format"),
        bad("png 0x0", [png_header(0, 0, 8, 2), png_chunk(b"IEND", b"")].concat(), InvalidInput, "no_pixels"),
        bad("gif 0x0", gif(0, 0, 1), InvalidInput, "no_pixels"),
        bad("gif without frames", gif(4, 4, 0), InvalidInput, "broken_picture"),
        bad("gif of 10,000 frames", gif(4, 4, 10_000), TooLarge, "too_many_frames"),
        bad("gif 65535x65535", gif(65_535, 65_535, 1), TooLarge, "side_too_long"),
        bad("png 65535x65535", png_header(65_535, 65_535, 8, 6), TooLarge, "side_too_long"),
        bad("png 40000x40000", png_header(40_000, 40_000, 16, 6), TooLarge, "too_many_pixels"),
        bad("jpeg 65535x65535", sized(&jpeg, 65_535, 65_535), TooLarge, "side_too_long"),
        bad("jpeg 40000x40000", sized(&jpeg, 40_000, 40_000), TooLarge, "too_many_pixels"),
        bad("jpeg 0x0", sized(&jpeg, 0, 0), InvalidInput, "no_pixels"),
        bad("webp 16384x16384", webp_canvas(16_384, 16_384), TooLarge, "too_many_pixels"),
        bad("png signature alone", png[..8].to_vec(), InvalidInput, "broken_picture"),
        bad("jpeg marker alone", jpeg[..4].to_vec(), InvalidInput, "broken_picture"),
        bad("a file over the limit", vec![0; (64 << 20) + 1], TooLarge, "too_many_bytes"),
    ];
    for (name, whole) in
        [("png", &png), ("jpeg", &jpeg), ("webp", &webp), ("webp lossless", &lossless), ("gif", &gif_one)]
    {
        // Half of it, most of it, and all but the last bytes.
        for end in [whole.len() / 2, whole.len() * 9 / 10, whole.len() - 2] {
            list.push(bad(name, whole[..end].to_vec(), InvalidInput, "broken_picture"));
        }
    }
    list
}

/// The JPEG with another size in its header.
fn sized(jpeg: &[u8], width: u16, height: u16) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes
}

fn webp_canvas(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0".to_vec();
    bytes.extend(&(width - 1).to_le_bytes()[..3]);
    bytes.extend(&(height - 1).to_le_bytes()[..3]);
    bytes
}

/// A PNG whose colour profile is 250 KB and unpacks to 40 MB of zeros.
fn profile_bomb() -> Vec<u8> {
    let mut bits = Bits::default();
    bits.put(0b011, 3); // the last block, with the fixed codes
    bits.put(0b0000_1100, 8); // a zero
    for _ in 0..(40 << 20) / 258 {
        bits.put(0b1010_0011, 8); // 258 bytes more
        bits.put(0, 5); // of the same
    }
    bits.put(0, 7);
    let chunk = [b"bomb\0\0\x78\x01".as_slice(), &bits.bytes].concat();
    let image = png_chunk(b"IDAT", &stored_zlib(&[0, 0]));
    [png_header(1, 1, 8, 0), png_chunk(b"iCCP", &chunk), image, png_chunk(b"IEND", b"")].concat()
}

/// Bits in the order of deflate; codes are given reversed.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (self.used % 8);
            self.used += 1;
        }
    }
}

#[test]
fn every_bad_picture_is_refused_at_once_with_a_clear_error() {
    for Bad { name, bytes, class, code } in corpus() {
        let start = Instant::now();
        let error = decode(&bytes, DecodeHint::FULL, &Limits::default()).err();
        let took = start.elapsed();
        let error: StepError = error.unwrap_or_else(|| panic!("{name} ({} bytes) was read", bytes.len())).into();
        assert_eq!((error.class, error.code.as_str()), (class, code), "{name}: {error}");
        assert!(!error.message.is_empty() && !error.advice.is_empty(), "{name}");
        // Twice the promise, because tests run unoptimised and beside each other.
        assert!(took < Duration::from_millis(400), "{name} took {took:?}");
    }
}

/// Runs in a process of its own, so that what other tests allocate does not count.
#[test]
#[cfg(target_os = "linux")]
fn bad_pictures_take_no_memory() {
    const CHILD: &str = "DARKROOM_TEST_BAD_PICTURE_MEMORY";
    if std::env::var_os(CHILD).is_none() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "bad::bad_pictures_take_no_memory", "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let corpus = corpus();
    let before = peak_kib();
    for Bad { bytes, .. } in &corpus {
        assert!(decode(bytes, DecodeHint::FULL, &Limits::default()).is_err());
    }
    assert!(decode(&profile_bomb(), DecodeHint::FULL, &Limits::default()).is_ok());
    let grown = peak_kib() - before;
    assert!(grown < 64 << 10, "grew by {grown} KiB");
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_profile_that_unpacks_to_too_much_is_passed_over() {
    let decoded = decode(&profile_bomb(), DecodeHint::FULL, &Limits::default()).unwrap();
    assert_eq!((decoded.picture.pixels(), decoded.info.profile.as_str()), ([0].as_slice(), ""));
}

#[test]
fn a_truncated_picture_is_never_half_read() {
    let picture = photo(97, 61);
    let lossless = encode(&picture, Encoding::WebPLossless).unwrap();
    for (name, whole) in
        [("png", png(&picture)), ("jpeg", jpeg(&picture)), ("webp", webp(&picture)), ("lossless", lossless)]
    {
        for end in (0..whole.len() - 1).step_by(7) {
            assert!(decode(&whole[..end], DecodeHint::FULL, &Limits::default()).is_err(), "{name} cut at {end}");
        }
    }
}

#[test]
fn a_jpeg_that_says_it_ends_in_the_middle_is_refused() {
    let whole = jpeg(&photo(300, 200));
    let mut bytes = whole[..whole.len() / 2].to_vec();
    bytes.extend([0xff, 0xd9]);
    assert!(decode(&bytes, DecodeHint::FULL, &Limits::default()).is_err());
}

#[test]
fn damage_anywhere_is_an_error_or_a_picture_but_never_a_panic() {
    let picture = photo(40, 30);
    let lossless = encode(&picture, Encoding::WebPLossless).unwrap();
    for whole in [png(&picture), jpeg(&picture), webp(&picture), lossless, gif(5, 5, 2)] {
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            if let Ok(decoded) = decode(&bytes, DecodeHint::FULL, &Limits::default()) {
                assert!(decoded.picture.bytes() > 0);
            }
        }
    }
}

#[test]
fn a_wrong_name_or_type_does_not_matter() {
    let worker = crate::store::Worker::default();
    let artifact = worker.files.add("really-a-jpeg.png", &jpeg(&photo(64, 48)));
    let succeeded = worker.run("image.info", serde_json::json!({"image": artifact.to_value()})).unwrap();
    assert_eq!(succeeded.outputs["media_type"], "image/jpeg");
}
