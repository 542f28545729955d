//! Masks: which pixels of a thumbnail belong to something.

/// Adds what the mask surrounds.
pub(super) fn fill_holes(mask: &mut [bool], width: usize, height: usize) {
    let mut outside = vec![false; mask.len()];
    let mut stack: Vec<usize> = (0..mask.len())
        .filter(|at| at % width == 0 || at % width + 1 == width || at / width == 0 || at / width + 1 == height)
        .filter(|at| !mask[*at])
        .collect();
    for at in &stack {
        outside[*at] = true;
    }
    while let Some(at) = stack.pop() {
        let (x, y) = (at % width, at / width);
        for (nx, ny) in [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)] {
            let next = ny.wrapping_mul(width).wrapping_add(nx);
            if nx < width && ny < height && !mask[next] && !outside[next] {
                outside[next] = true;
                stack.push(next);
            }
        }
    }
    for (inside, outside) in mask.iter_mut().zip(outside) {
        *inside = !outside;
    }
}

/// Grows a mask by so many pixels on every side.
pub(super) fn dilate(mask: &[bool], width: usize, height: usize, radius: usize) -> Vec<bool> {
    spread(mask, width, height, radius, true)
}

/// Takes so many pixels off every side of a mask.
pub(super) fn erode(mask: &[bool], width: usize, height: usize, radius: usize) -> Vec<bool> {
    spread(mask, width, height, radius, false)
}

/// Spreads `value` over squares of `2 * radius + 1`.
fn spread(mask: &[bool], width: usize, height: usize, radius: usize, value: bool) -> Vec<bool> {
    let mut rows = vec![!value; mask.len()];
    for y in 0..height {
        for x in 0..width {
            let line = &mask[y * width + x.saturating_sub(radius)..=y * width + (x + radius).min(width - 1)];
            if line.contains(&value) {
                rows[y * width + x] = value;
            }
        }
    }
    let mut out = vec![!value; mask.len()];
    for y in 0..height {
        for other in y.saturating_sub(radius)..=(y + radius).min(height - 1) {
            for x in 0..width {
                if rows[other * width + x] == value {
                    out[y * width + x] = value;
                }
            }
        }
    }
    out
}
