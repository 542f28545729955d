//! Pictures to work on, made here.

use darkroom_worker::media::{Color, Encoding, Layout, Picture, Size, encode};

/// Something like a photograph: smooth shapes, edges and some grain, the same on each call.
pub(crate) fn photo(width: u32, height: u32) -> Picture {
    let mut seed = 1u32;
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
            let disc = if (u - 0.6).hypot((v - 0.4) * height as f32 / width as f32) < 0.2 { 80.0 } else { 0.0 };
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = (seed >> 24) as f32 / 32.0;
            pixels.extend([
                (u * 150.0 + disc + grain) as u8,
                (v * 120.0 + 60.0 * (u * 12.0).sin().abs() + grain) as u8,
                ((1.0 - u) * 100.0 + disc / 2.0 + grain) as u8,
            ]);
        }
    }
    Picture::new(Size { width, height }, Layout::Rgb, pixels).unwrap()
}

pub(crate) fn filled(width: u32, height: u32, color: &str) -> Picture {
    Picture::filled(Size { width, height }, color.parse().unwrap()).unwrap()
}

pub(crate) fn png(picture: &Picture) -> Vec<u8> {
    encode(picture, Encoding::Png).unwrap()
}

pub(crate) fn jpeg(picture: &Picture) -> Vec<u8> {
    encode(picture, Encoding::Jpeg { quality: 90, background: Color::WHITE }).unwrap()
}

pub(crate) fn webp(picture: &Picture) -> Vec<u8> {
    encode(picture, Encoding::WebP { quality: 90 }).unwrap()
}

/// The JPEG with a segment right after its start.
pub(crate) fn with_segment(jpeg: &[u8], marker: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = jpeg[..2].to_vec();
    bytes.extend([0xff, marker]);
    bytes.extend((content.len() as u16 + 2).to_be_bytes());
    bytes.extend(content);
    bytes.extend(&jpeg[2..]);
    bytes
}

/// EXIF data with an orientation and a place.
pub(crate) fn exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    exif.extend(b"GPS 52.5200 N 13.4050 E");
    exif
}

/// A PNG chunk with its checksum.
pub(crate) fn png_chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = (content.len() as u32).to_be_bytes().to_vec();
    let mut named = name.to_vec();
    named.extend(content);
    let mut crc = !0u32;
    for byte in &named {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    bytes.extend(&named);
    bytes.extend((!crc).to_be_bytes());
    bytes
}

/// A PNG's signature and header.
pub(crate) fn png_header(width: u32, height: u32, depth: u8, color: u8) -> Vec<u8> {
    let mut header = width.to_be_bytes().to_vec();
    header.extend(height.to_be_bytes());
    header.extend([depth, color, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.extend(png_chunk(b"IHDR", &header));
    bytes
}

/// A GIF of this size with `frames` frames of one pixel, the first pixel of its two-colour palette.
pub(crate) fn gif(width: u16, height: u16, frames: usize) -> Vec<u8> {
    let mut bytes = b"GIF89a".to_vec();
    bytes.extend(width.to_le_bytes());
    bytes.extend(height.to_le_bytes());
    bytes.extend([0x80, 0, 0, 200, 100, 50, 0, 0, 0]);
    for _ in 0..frames {
        bytes.extend([0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 0x44, 1, 0]);
    }
    bytes.push(0x3b);
    bytes
}

/// Mean absolute difference of two pictures of one size and layout.
pub(crate) fn difference(a: &Picture, b: &Picture) -> f64 {
    assert_eq!((a.size(), a.layout()), (b.size(), b.layout()));
    let sum: u64 = a.pixels().iter().zip(b.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.bytes() as f64
}
