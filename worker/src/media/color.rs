//! Colour profiles: everything becomes sRGB when it is read.

use super::{Layout, MediaError, Picture, Size};
use moxcms::{ColorProfile, DataColorSpace, Layout as IccLayout, ProfileText, TransformOptions};

/// The longest profile that is looked at. Press profiles have up to some 3 MB.
pub(super) const PROFILE_BYTES_MAX: usize = 4 << 20;

/// The name that a profile gives itself, or nothing.
pub(super) fn profile_name(icc: &[u8]) -> String {
    let text = match ColorProfile::new_from_slice(icc).ok().and_then(|profile| profile.description) {
        Some(ProfileText::PlainString(text)) => text,
        Some(ProfileText::Localizable(texts)) => {
            let english = texts.iter().position(|text| text.language == "en").unwrap_or(0);
            texts.into_iter().nth(english).map(|text| text.value).unwrap_or_default()
        }
        Some(ProfileText::Description(text)) if text.ascii_string.is_empty() => text.unicode_string,
        Some(ProfileText::Description(text)) => text.ascii_string,
        None => String::new(),
    };
    text.trim_matches(|c: char| c.is_control() || c.is_whitespace()).chars().take(200).collect()
}

/// The picture in sRGB. A profile that can't be read, or is for other pixels than these, is passed over: a bad tag is no
/// reason to refuse a picture.
pub(super) fn to_srgb(picture: Picture, icc: Option<&[u8]>) -> Picture {
    let Some(profile) = icc.and_then(|icc| ColorProfile::new_from_slice(icc).ok()) else { return picture };
    match (profile.color_space, picture.layout()) {
        (DataColorSpace::Rgb, Layout::Rgb) => rgb_to_srgb(picture, &profile, IccLayout::Rgb),
        (DataColorSpace::Rgb, Layout::Rgba) => rgb_to_srgb(picture, &profile, IccLayout::Rgba),
        (DataColorSpace::Gray, Layout::Gray | Layout::GrayAlpha) => gray_to_srgb(picture, &profile),
        _ => picture,
    }
}

fn rgb_to_srgb(mut picture: Picture, profile: &ColorProfile, layout: IccLayout) -> Picture {
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions { prefer_fixed_point: false, ..TransformOptions::default() };
    let Ok(transform) = profile.create_transform_8bit(layout, &srgb, layout, options) else { return picture };
    let channels = picture.layout().channels();

    // Most profiles are sRGB under one name or another. Asking a grid of colours finds them all, and leaves their
    // pixels untouched.
    let steps = [0u8, 32, 64, 96, 128, 160, 192, 224, 255];
    let mut grid = Vec::with_capacity(729 * channels);
    for r in steps {
        for g in steps {
            for b in steps {
                grid.extend_from_slice(&[r, g, b, 255][..channels]);
            }
        }
    }
    let mut turned = vec![0; grid.len()];
    if transform.transform(&grid, &mut turned).is_err() || grid.iter().zip(&turned).all(|(a, b)| a.abs_diff(*b) <= 1) {
        return picture;
    }

    let stride = picture.stride();
    let mut line = vec![0; stride];
    for row in picture.pixels_mut().chunks_exact_mut(stride) {
        if transform.transform(row, &mut line).is_ok() {
            row.copy_from_slice(&line);
        }
    }
    picture
}

fn gray_to_srgb(mut picture: Picture, profile: &ColorProfile) -> Picture {
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions { prefer_fixed_point: false, ..TransformOptions::default() };
    let Ok(transform) = profile.create_transform_8bit(IccLayout::Gray, &srgb, IccLayout::Rgb, options) else {
        return picture;
    };
    let ramp: Vec<u8> = (0..=255).collect();
    let mut turned = vec![0; 256 * 3];
    if transform.transform(&ramp, &mut turned).is_err() {
        return picture;
    }
    let channels = picture.layout().channels();
    for pixel in picture.pixels_mut().chunks_exact_mut(channels) {
        pixel[0] = turned[usize::from(pixel[0]) * 3 + 1];
    }
    picture
}

/// Four inks (255 is full ink) as sRGB, by the profile if there is a usable one, else by the plain formula.
pub(super) fn cmyk_to_srgb(size: Size, inks: &[u8], icc: Option<&[u8]>) -> Result<Picture, MediaError> {
    let mut pixels = vec![0; size.pixels() as usize * 3];
    let profile = icc
        .and_then(|icc| ColorProfile::new_from_slice(icc).ok())
        .filter(|profile| profile.color_space == DataColorSpace::Cmyk);
    let transform = profile.and_then(|profile| {
        let srgb = ColorProfile::new_srgb();
        profile.create_transform_8bit(IccLayout::Rgba, &srgb, IccLayout::Rgb, TransformOptions::default()).ok()
    });
    let width = size.width as usize;
    for (row, line) in pixels.chunks_exact_mut(width * 3).zip(inks.chunks_exact(width * 4)) {
        if transform.as_ref().is_some_and(|transform| transform.transform(line, row).is_ok()) {
            continue;
        }
        for (pixel, ink) in row.chunks_exact_mut(3).zip(line.chunks_exact(4)) {
            let key = 255 - u32::from(ink[3]);
            for (light, ink) in pixel.iter_mut().zip(ink) {
                *light = (((255 - u32::from(*ink)) * key + 127) / 255) as u8;
            }
        }
    }
    Picture::new(size, Layout::Rgb, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_pixel(rgb: [u8; 3]) -> Picture {
        Picture::new(Size { width: 1, height: 1 }, Layout::Rgb, rgb.to_vec()).unwrap()
    }

    #[test]
    fn wide_colours_come_out_as_the_right_srgb_values() {
        // Worked out from the spaces' primaries and tone curves, independently of moxcms.
        let p3 = ColorProfile::new_display_p3().encode().unwrap();
        let adobe = ColorProfile::new_adobe_rgb().encode().unwrap();
        for (name, icc, want) in [("p3", p3, [215, 93, 31]), ("adobe", adobe, [227, 100, 42])] {
            let got = to_srgb(one_pixel([200, 100, 50]), Some(&icc));
            let near = got.pixels().iter().zip(want).all(|(a, b)| a.abs_diff(b) <= 2);
            assert!(near, "{name}: {:?}, want {want:?}", got.pixels());
        }
    }

    #[test]
    fn srgb_and_unreadable_profiles_leave_pixels_alone() {
        let srgb = ColorProfile::new_srgb().encode().unwrap();
        for icc in [Some(&srgb[..]), Some(b"garbage".as_slice()), None] {
            assert_eq!(to_srgb(one_pixel([200, 100, 50]), icc).pixels(), [200, 100, 50]);
        }
    }

    #[test]
    fn inks_without_a_profile_follow_the_plain_formula() {
        let size = Size { width: 3, height: 1 };
        let picture = cmyk_to_srgb(size, &[0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 255], None).unwrap();
        assert_eq!(picture.pixels(), [255, 255, 255, 255, 0, 0, 0, 0, 0]);
    }
}
