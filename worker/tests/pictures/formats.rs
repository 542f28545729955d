//! Reading and writing formats.

use crate::samples::*;
use darkroom_worker::media::*;

fn read(bytes: &[u8]) -> Decoded {
    decode(bytes, DecodeHint::FULL, &Limits::default()).unwrap()
}

#[test]
fn all_eight_orientations_are_upright_with_any_orientation_stored() {
    let upright = photo(48, 32);
    let turned = |f: &dyn Fn(u32, u32) -> (u32, u32), size: Size| {
        let mut pixels = Vec::new();
        for y in 0..size.height {
            for x in 0..size.width {
                let (x, y) = f(x, y);
                let Color { r, g, b, .. } = upright.pixel(x, y);
                pixels.extend([r, g, b]);
            }
        }
        Picture::new(size, Layout::Rgb, pixels).unwrap()
    };
    let (w, h) = (48, 32);
    let (wide, tall) = (Size { width: w, height: h }, Size { width: h, height: w });
    let stored = [
        (1, turned(&|x, y| (x, y), wide)),
        (2, turned(&|x, y| (w - 1 - x, y), wide)),
        (3, turned(&|x, y| (w - 1 - x, h - 1 - y), wide)),
        (4, turned(&|x, y| (x, h - 1 - y), wide)),
        (5, turned(&|x, y| (y, x), tall)),
        (6, turned(&|x, y| (w - 1 - y, x), tall)),
        (7, turned(&|x, y| (w - 1 - y, h - 1 - x), tall)),
        (8, turned(&|x, y| (y, h - 1 - x), tall)),
    ];
    for (orientation, stored) in stored {
        let bytes = with_segment(&jpeg(&stored), 0xe1, &exif(orientation));
        let info = read_info(&bytes, &Limits::default()).unwrap();
        assert_eq!(info.size, wide, "{orientation}");
        let decoded = read(&bytes);
        assert!(difference(&decoded.picture, &upright) < 4.0, "{orientation}");
        let reduced = decode(&bytes, DecodeHint::at_least(Size { width: 24, height: 16 }), &Limits::default()).unwrap();
        assert_eq!(reduced.picture.size(), Size { width: 24, height: 16 }, "{orientation}");
        assert_eq!(reduced.info.size, wide, "{orientation}");
        // For whoever does not heed the note: the same picture, stored as it is seen.
        match darkroom_worker::media::upright(&bytes, &Limits::default()).unwrap() {
            None => assert_eq!(orientation, 1),
            Some(turned) => {
                assert!(difference(&read(&turned).picture, &upright) < 6.0, "{orientation}");
                assert_eq!(darkroom_worker::media::upright(&turned, &Limits::default()).unwrap(), None);
            }
        }
    }
}

#[test]
fn orientation_in_png_and_webp_counts_too() {
    let stored = photo(32, 48);
    let tiff = &exif(6)[6..];
    let plain = png(&stored);
    let (head, rest) = plain.split_at(33);
    let in_png = [head, &png_chunk(b"eXIf", tiff), rest].concat();

    let plain = webp(&stored);
    let mut in_webp = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x08\0\0\0\x1f\0\0\x2f\0\0".to_vec();
    in_webp.extend(&plain[12..]);
    in_webp.extend(b"EXIF");
    in_webp.extend((tiff.len() as u32).to_le_bytes());
    in_webp.extend(tiff);
    in_webp.resize(in_webp.len().next_multiple_of(2), 0);
    let length = in_webp.len() as u32 - 8;
    in_webp[4..8].copy_from_slice(&length.to_le_bytes());

    for (name, bytes) in [("png", in_png), ("webp", in_webp)] {
        let decoded = read(&bytes);
        assert_eq!(decoded.picture.size(), Size { width: 48, height: 32 }, "{name}");
        let (upright, lying) = (decoded.picture.pixel(47, 0), stored.pixel(0, 0));
        assert!(upright.r.abs_diff(lying.r) < 24 && upright.b.abs_diff(lying.b) < 24, "{name}");
    }
}

#[test]
fn ink_pictures_come_out_in_the_right_colours() {
    // Cyan, yellow, black and no ink, a block each.
    let inks = [[255, 0, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255], [0, 0, 0, 0]];
    let line: Vec<u8> = inks.iter().flat_map(|ink| ink.repeat(16)).collect();
    let mut bytes = Vec::new();
    jpeg_encoder::Encoder::new(&mut bytes, 95).encode(&line.repeat(16), 64, 16, jpeg_encoder::ColorType::Cmyk).unwrap();
    let picture = read(&bytes).picture;
    for (block, want) in [[0, 255, 255], [255, 255, 0], [0, 0, 0], [255, 255, 255]].into_iter().enumerate() {
        let Color { r, g, b, .. } = picture.pixel(block as u32 * 16 + 8, 8);
        assert!([r, g, b].iter().zip(want).all(|(a, b): (_, u8)| a.abs_diff(b) < 8), "{block}: {r} {g} {b}");
    }
}

#[test]
fn a_wide_profile_becomes_srgb_and_is_named() {
    let p3 = moxcms::ColorProfile::new_display_p3().encode().unwrap();
    let mut segment = b"ICC_PROFILE\0\x01\x01".to_vec();
    segment.extend(&p3);
    let bytes = with_segment(&jpeg(&filled(16, 16, "#c86432")), 0xe2, &segment);
    let decoded = read(&bytes);
    // The same colour, worked out from the primaries of the two spaces.
    let Color { r, g, b, .. } = decoded.picture.pixel(8, 8);
    assert!(r.abs_diff(215) <= 3 && g.abs_diff(93) <= 3 && b.abs_diff(31) <= 3, "{r} {g} {b}");
    assert!(decoded.info.profile.contains("P3"), "{}", decoded.info.profile);
    for out in [png(&decoded.picture), jpeg(&decoded.picture), webp(&decoded.picture)] {
        assert_eq!(read_info(&out, &Limits::default()).unwrap().profile, "");
    }
}

#[test]
fn lossless_formats_come_back_bit_for_bit() {
    let rgb = photo(61, 47);
    let mut rgba = rgb.to_layout(Layout::Rgba).pixels().to_vec();
    for (index, alpha) in rgba.iter_mut().skip(3).step_by(4).enumerate() {
        *alpha = (index * 7 % 256) as u8;
    }
    let rgba = Picture::new(rgb.size(), Layout::Rgba, rgba).unwrap();
    for layout in [Layout::Gray, Layout::GrayAlpha, Layout::Rgb, Layout::Rgba] {
        let picture = rgba.to_layout(layout);
        assert_eq!(read(&png(&picture)).picture, picture, "png {layout:?}");
        let webp = encode(&picture, Encoding::WebPLossless).unwrap();
        let back = read(&webp);
        assert_eq!(back.info.format, Format::WebP);
        assert_eq!(back.picture.to_layout(Layout::Rgba), picture.to_layout(Layout::Rgba), "webp {layout:?}");
    }
}

#[test]
fn gray_pictures_stay_gray() {
    let gray = grayscale(&photo(64, 48));
    assert_eq!(gray.layout(), Layout::Gray);
    assert_eq!(read(&jpeg(&gray)).picture.layout(), Layout::Gray);
    let back = read(&webp(&gray)).picture;
    assert!(back.pixels().chunks_exact(3).all(|p| p[0].abs_diff(p[1]) <= 1 && p[1].abs_diff(p[2]) <= 1));
    assert!(difference(&back.to_layout(Layout::Gray), &gray) < 4.0);
}

#[test]
fn jpeg_shows_the_background_where_the_picture_is_transparent() {
    let encoding = Encoding::Jpeg { quality: 95, background: "#0000ff".parse().unwrap() };
    let back = read(&encode(&filled(16, 16, "#ff000000"), encoding).unwrap()).picture;
    let Color { r, g, b, .. } = back.pixel(8, 8);
    assert!(r < 6 && g < 6 && b > 249, "{r} {g} {b}");
}

#[test]
fn shrinking_bleeds_no_colour_out_of_transparent_pixels() {
    // White in a transparent black surrounding. Without premultiplying, its edge would go dark.
    let mut pixels = vec![0; 64 * 64 * 4];
    for y in 13..51 {
        for x in 13..51 {
            pixels[(y * 64 + x) * 4..][..4].copy_from_slice(&[255; 4]);
        }
    }
    let picture = Picture::new(Size { width: 64, height: 64 }, Layout::Rgba, pixels).unwrap();
    let small = resize_to(&picture, Size { width: 20, height: 20 }).unwrap();
    let mut soft = 0;
    for pixel in small.pixels().chunks_exact(4).filter(|pixel| pixel[3] > 8) {
        soft += u32::from(pixel[3] < 250);
        assert!(pixel[..3].iter().all(|sample| *sample >= 250), "{pixel:?}");
    }
    assert!(soft > 0, "the edge is soft");
}

#[test]
fn a_reduced_scale_gives_nearly_what_decoding_everything_gives() {
    let photo = photo(800, 534);
    for (name, bytes) in [("baseline", jpeg(&photo)), ("gray", jpeg(&grayscale(&photo)))] {
        for side in [200, 130, 66] {
            let info = read_info(&bytes, &Limits::default()).unwrap();
            let plan = Resizing::plan(info.size, Some(side), Some(side), Fit::Cover, true).unwrap();
            let hint = DecodeHint::at_least(plan.scaled);
            assert!(hint.reduces(&info), "{name} {side}");
            let reduced = decode(&bytes, hint, &Limits::default()).unwrap().picture;
            assert!(reduced.width() < 800 && reduced.width() >= plan.scaled.width, "{name} {side}");
            let fast = resize(&reduced, plan, (0.5, 0.5), Color::WHITE).unwrap();
            let slow = resize(&read(&bytes).picture, plan, (0.5, 0.5), Color::WHITE).unwrap();
            assert_eq!(fast.size(), Size { width: side, height: side });
            let difference = difference(&fast, &slow);
            assert!(difference < 1.5, "{name} {side}: {difference}");
        }
    }
}

#[test]
fn sixteen_bit_and_palette_pngs_become_eight_bit() {
    let mut wide = png_header(2, 1, 16, 0);
    wide.extend(png_chunk(b"IDAT", &stored_zlib(&[0, 0x80, 0x7f, 0xff, 0xff])));
    wide.extend(png_chunk(b"IEND", b""));
    // 0x807f is 127.998 steps of 257: cutting the low byte off would be right too, but 0x00ff is one step, not none.
    assert_eq!(read(&wide).picture.pixels(), [128, 255]);
    let mut low = png_header(1, 1, 16, 0);
    low.extend(png_chunk(b"IDAT", &stored_zlib(&[0, 0x00, 0xff])));
    low.extend(png_chunk(b"IEND", b""));
    assert_eq!(read(&low).picture.pixels(), [1]);

    let mut palette = png_header(2, 1, 8, 3);
    palette.extend(png_chunk(b"PLTE", &[10, 20, 30, 40, 50, 60]));
    palette.extend(png_chunk(b"tRNS", &[255, 0]));
    palette.extend(png_chunk(b"IDAT", &stored_zlib(&[0, 0, 1])));
    palette.extend(png_chunk(b"IEND", b""));
    let decoded = read(&palette);
    assert_eq!((decoded.picture.layout(), decoded.info.alpha), (Layout::Rgba, true));
    assert_eq!(decoded.picture.pixels(), [10, 20, 30, 255, 40, 50, 60, 0]);
}

/// Bytes as zlib data that is not compressed.
pub(crate) fn stored_zlib(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u16;
    let mut zlib = vec![0x78, 0x01, 1];
    zlib.extend(length.to_le_bytes());
    zlib.extend((!length).to_le_bytes());
    zlib.extend(bytes);
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    zlib.extend((b << 16 | a).to_be_bytes());
    zlib
}

#[test]
fn the_first_frame_of_an_animation_is_used_on_its_canvas() {
    let decoded = read(&gif(3, 2, 7));
    assert_eq!((decoded.info.frames, decoded.picture.size()), (7, Size { width: 3, height: 2 }));
    assert_eq!(decoded.picture.pixel(0, 0), Color { r: 200, g: 100, b: 50, a: 255 });
    assert_eq!(decoded.picture.pixel(2, 1).a, 0);
}

#[test]
fn equal_pictures_give_equal_bytes() {
    let picture = photo(200, 150);
    let usual = [Format::Png, Format::Jpeg, Format::WebP].map(|format| Encoding::usual(format).unwrap());
    for encoding in usual.into_iter().chain([Encoding::WebPLossless]) {
        assert_eq!(encode(&picture, encoding), encode(&picture, encoding), "{encoding:?}");
    }
    let bytes = jpeg(&picture);
    let thumbnail = || thumbnail_webp(&bytes, 64, 85, &Limits::default(), |_| ()).unwrap();
    assert_eq!(thumbnail(), thumbnail());
}

#[test]
fn a_side_that_webp_has_no_room_for_is_said_so() {
    let error = encode(&filled(16_384, 1, "#ffffff"), Encoding::WebP { quality: 85 }).unwrap_err();
    assert!(matches!(error, MediaError::SideTooLongFor { side_max: 16_383, .. }));
    assert!(error.to_string().contains("16384x1"));
}
