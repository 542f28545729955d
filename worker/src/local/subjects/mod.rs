//! The things that can be drawn: each stands on `y = 0`, is at most 2 high (upwards is negative) and about as wide.

mod emblem;
mod goods;
mod living;
mod places;
mod tableware;

use super::dice::Dice;
use super::palette::Palette;
use super::pen::Pen;
use super::prompt::{Brief, Subject};

/// Draws the subject of the brief.
pub(super) fn draw(pen: &mut Pen<'_>, brief: &Brief, palette: &Palette, dice: &mut Dice) {
    match brief.subject {
        Subject::Mug => tableware::mug(pen, palette, dice),
        Subject::Teapot => tableware::teapot(pen, palette, dice),
        Subject::Bottle => tableware::bottle(pen, palette, dice),
        Subject::Vase => tableware::vase(pen, palette, brief, dice),
        Subject::Fruit => tableware::fruit(pen, palette, brief),
        Subject::Bread => tableware::bread(pen, dice),
        Subject::Bag => goods::bag(pen, palette),
        Subject::Shoe => goods::shoe(pen, palette),
        Subject::Lamp => goods::lamp(pen, palette, dice),
        Subject::Watch => goods::watch(pen, palette, dice),
        Subject::Phone => goods::phone(pen, palette),
        Subject::Book => goods::book(pen, palette),
        Subject::Chair => goods::chair(pen, palette),
        Subject::Flower => living::flower(pen, palette, dice),
        Subject::Cat => living::cat(pen, palette, brief),
        Subject::Dog => living::dog(pen, palette, brief),
        Subject::Person => living::person(pen, palette, dice),
        Subject::Tree => living::tree(pen, palette, dice),
        Subject::House => places::house(pen, palette),
        Subject::Lighthouse => places::lighthouse(pen, palette),
        Subject::Boat => places::boat(pen, palette),
        Subject::Car => places::car(pen, palette),
        Subject::Rocket => places::rocket(pen, palette),
        Subject::Mountain => places::mountain(pen, palette, dice),
        Subject::Emblem => emblem::emblem(pen, palette, brief, dice),
    }
}

/// How large a subject is compared with others, so that all look right at the same distance.
pub(super) fn size(subject: Subject) -> f32 {
    match subject {
        Subject::Mug | Subject::Fruit | Subject::Bread | Subject::Teapot => 0.9,
        Subject::Lighthouse | Subject::House | Subject::Tree | Subject::Person => 1.25,
        Subject::Mountain => 1.5,
        Subject::Emblem | Subject::Rocket | Subject::Cat | Subject::Dog => 1.15,
        _ => 1.0,
    }
}
