//! What a prompt asks for, as far as this can draw it.

use super::ink::Ink;
use darkroom_proto::Sha256;

/// What is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Mug,
    Teapot,
    Bottle,
    Vase,
    Bag,
    Shoe,
    Lamp,
    Flower,
    Cat,
    Dog,
    House,
    Lighthouse,
    Boat,
    Car,
    Watch,
    Phone,
    Book,
    Chair,
    Fruit,
    Bread,
    Person,
    Rocket,
    Tree,
    Mountain,
    Emblem,
}

/// What the subject stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Surface {
    Wood,
    Marble,
    Cloth,
    Sand,
    Water,
    Grass,
    Plain,
}

/// The light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Day,
    Dawn,
    Evening,
    Storm,
    Spring,
    Neon,
}

/// How near the subject is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shot {
    Normal,
    Hero,
    Detail,
    Wide,
}

/// What is on an emblem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Motif {
    Wheat,
    Cup,
    Leaf,
    Sun,
    Wave,
}

/// A prompt, understood.
#[derive(Debug, Clone)]
pub(super) struct Brief {
    pub(super) subject: Subject,
    pub(super) surface: Surface,
    pub(super) mood: Mood,
    pub(super) shot: Shot,
    pub(super) motif: Motif,
    /// The first and the second colour that it names.
    pub(super) colour: Option<Ink>,
    pub(super) second: Option<Ink>,
    /// A number that follows from the prompt's words, for what they don't otherwise say.
    pub(super) variant: usize,
}

const SUBJECTS: &[(Subject, &[&str])] = &[
    (Subject::Mug, &["mug", "cup", "coffee", "espresso", "cappuccino", "latte", "tea", "cocoa"]),
    (Subject::Teapot, &["teapot", "kettle", "pot"]),
    (Subject::Bottle, &["bottle", "wine", "perfume", "fragrance", "serum", "shampoo", "cosmetic", "cosmetics", "beer"]),
    (Subject::Vase, &["vase", "jar", "urn", "ceramic", "pottery"]),
    (Subject::Bag, &["bag", "handbag", "purse", "backpack", "tote", "luggage", "suitcase"]),
    (Subject::Shoe, &["shoe", "shoes", "sneaker", "sneakers", "boot", "boots", "trainer", "trainers"]),
    (Subject::Lamp, &["lamp", "lantern", "light bulb"]),
    (Subject::Flower, &["flower", "flowers", "plant", "rose", "tulip", "tulips", "bouquet", "cactus", "sunflower"]),
    (Subject::Cat, &["cat", "kitten", "cats"]),
    (Subject::Dog, &["dog", "puppy", "dogs", "hound"]),
    (Subject::House, &["house", "cottage", "home", "cabin", "barn", "villa", "building", "hut"]),
    (Subject::Lighthouse, &["lighthouse", "harbour", "harbor", "port", "coast", "cliff"]),
    (Subject::Boat, &["boat", "sailboat", "ship", "yacht", "sail", "sails"]),
    (Subject::Car, &["car", "cars", "automobile", "vehicle", "taxi", "van", "truck"]),
    (Subject::Watch, &["watch", "wristwatch", "clock"]),
    (Subject::Phone, &["phone", "smartphone", "mobile", "tablet"]),
    (Subject::Book, &["book", "books", "notebook", "novel", "magazine", "journal"]),
    (Subject::Chair, &["chair", "armchair", "stool", "sofa", "seat"]),
    (Subject::Fruit, &["fruit", "fruits", "apple", "apples", "peach", "cherry", "orange fruit", "tomato"]),
    (Subject::Bread, &["bread", "loaf", "croissant", "cake", "bun", "baguette", "pastry"]),
    (
        Subject::Person,
        &["person", "portrait", "woman", "man", "girl", "boy", "face", "people", "model", "astronaut", "child"],
    ),
    (Subject::Rocket, &["rocket", "spaceship", "spacecraft", "shuttle", "missile"]),
    (Subject::Tree, &["tree", "trees", "forest", "oak", "pine", "wood at", "woods"]),
    (Subject::Emblem, &["logo", "emblem", "icon", "badge", "logotype", "monogram", "crest"]),
];

/// Places, drawn when the prompt names no thing.
const PLACES: &[(Subject, &[&str])] = &[
    (Subject::Mountain, &["mountain", "mountains", "landscape", "valley", "hill", "hills", "peak", "alps", "glacier"]),
    (Subject::Boat, &["sea", "ocean", "lake", "bay", "waves", "storm", "river"]),
    (Subject::Tree, &["meadow", "field", "park", "garden"]),
    (Subject::House, &["village", "street", "city", "town"]),
];

const SURFACES: &[(Surface, &[&str])] = &[
    (Surface::Wood, &["wooden", "wood", "oak", "walnut", "plank", "planks", "desk"]),
    (Surface::Marble, &["marble", "stone", "granite", "concrete"]),
    (Surface::Cloth, &["cloth", "linen", "fabric", "velvet", "silk", "cotton"]),
    (Surface::Sand, &["sand", "beach", "desert", "dune"]),
    (Surface::Water, &["water", "sea", "ocean", "lake", "river", "harbour", "harbor"]),
    (Surface::Grass, &["grass", "lawn", "meadow", "field", "garden"]),
];

const MOODS: &[(Mood, &[&str])] = &[
    (Mood::Dawn, &["dawn", "sunrise", "morning", "golden"]),
    (Mood::Evening, &["evening", "sunset", "dusk", "night", "twilight"]),
    (Mood::Storm, &["storm", "stormy", "rain", "rainy", "thunder", "moody", "dark", "dramatic"]),
    (Mood::Spring, &["spring", "blossom", "fresh", "easter"]),
    (Mood::Neon, &["neon", "cyberpunk", "synthwave", "futuristic"]),
];

const COLOURS: &[(&str, Ink)] = &[
    ("red", Ink([0.78, 0.16, 0.15])),
    ("crimson", Ink([0.7, 0.08, 0.2])),
    ("orange", Ink([0.91, 0.49, 0.13])),
    ("yellow", Ink([0.95, 0.78, 0.2])),
    ("gold", Ink([0.83, 0.66, 0.28])),
    ("green", Ink([0.24, 0.56, 0.3])),
    ("mint", Ink([0.55, 0.82, 0.68])),
    ("turquoise", Ink([0.16, 0.68, 0.68])),
    ("teal", Ink([0.1, 0.5, 0.5])),
    ("blue", Ink([0.17, 0.36, 0.72])),
    ("navy", Ink([0.1, 0.17, 0.38])),
    ("purple", Ink([0.46, 0.24, 0.62])),
    ("violet", Ink([0.5, 0.3, 0.7])),
    ("pink", Ink([0.93, 0.52, 0.66])),
    ("brown", Ink([0.45, 0.28, 0.17])),
    ("beige", Ink([0.83, 0.74, 0.6])),
    ("white", Ink([0.95, 0.94, 0.92])),
    ("black", Ink([0.13, 0.13, 0.15])),
    ("grey", Ink([0.5, 0.51, 0.53])),
    ("gray", Ink([0.5, 0.51, 0.53])),
    ("silver", Ink([0.75, 0.77, 0.8])),
];

impl Brief {
    /// Reads a prompt. Words that the negative prompt has too are passed over.
    pub(super) fn of(prompt: &str, negative: &str) -> Brief {
        let text = wanted(prompt, negative);
        let digest = Sha256::of(text.as_bytes());
        let variant = usize::from(digest.as_bytes()[0]) << 8 | usize::from(digest.as_bytes()[1]);

        let emblem = first(&text, &SUBJECTS[SUBJECTS.len() - 1..]).is_some();
        let tea_pot = text.contains(" tea pot ") || text.contains(" coffee pot ");
        let motif = motif(&text, variant);
        let subject = if emblem {
            Subject::Emblem
        } else if tea_pot {
            Subject::Teapot
        } else {
            first(&text, SUBJECTS)
                .or_else(|| first(&text, PLACES))
                .unwrap_or([Subject::Vase, Subject::Bottle, Subject::Vase, Subject::Bag][variant % 4])
        };
        let mut colours = colours(&text).into_iter();
        let shot = if has(&text, &["wide shot", "wide", "panorama", "aerial"]) {
            Shot::Wide
        } else if has(&text, &["detail", "close up", "closeup", "macro", "details"]) {
            Shot::Detail
        } else if has(&text, &["hero shot", "hero", "large"]) {
            Shot::Hero
        } else {
            Shot::Normal
        };
        Brief {
            subject,
            surface: first(&text, SURFACES).unwrap_or(Surface::Plain),
            mood: first(&text, MOODS).unwrap_or(Mood::Day),
            shot,
            motif,
            colour: colours.next(),
            second: colours.next(),
            variant,
        }
    }

    /// Whether it is under the open sky.
    pub(super) fn outdoor(&self) -> bool {
        matches!(
            self.subject,
            Subject::House
                | Subject::Lighthouse
                | Subject::Boat
                | Subject::Car
                | Subject::Rocket
                | Subject::Tree
                | Subject::Mountain
        )
    }
}

fn motif(text: &str, variant: usize) -> Motif {
    if has(text, &["bakery", "bread", "baker", "wheat", "flour", "mill", "beer", "brewery"]) {
        Motif::Wheat
    } else if has(text, &["coffee", "cafe", "tea", "espresso"]) {
        Motif::Cup
    } else if has(text, &["garden", "eco", "green", "nature", "organic", "tea", "plant", "forest", "spa", "farm"]) {
        Motif::Leaf
    } else if has(text, &["sun", "solar", "energy", "travel", "summer"]) {
        Motif::Sun
    } else if has(text, &["sea", "surf", "ocean", "water", "wave", "swim"]) {
        Motif::Wave
    } else {
        [Motif::Leaf, Motif::Sun, Motif::Wave][variant % 3]
    }
}

/// The words of a text, in small letters.
pub(super) fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Whether one of the names stands in a text of words with a blank around each.
pub(super) fn has(text: &str, names: &[&str]) -> bool {
    names.iter().any(|name| text.contains(&format!(" {name} ")))
}

/// The wanted words of a prompt, with a blank around each: those that the negative prompt has too are passed over.
pub(super) fn wanted(prompt: &str, negative: &str) -> String {
    let unwanted = words(negative);
    let mut wanted = words(prompt);
    wanted.retain(|word| !unwanted.contains(word));
    format!(" {} ", wanted.join(" "))
}

/// The colours that a text of words names, in its order.
pub(super) fn colours(text: &str) -> Vec<Ink> {
    text.split(' ').filter_map(|word| COLOURS.iter().find(|(name, _)| *name == word)).map(|(_, ink)| *ink).collect()
}

/// Whichever is named first in the text.
fn first<T: Copy>(text: &str, table: &[(T, &[&str])]) -> Option<T> {
    table
        .iter()
        .flat_map(|(value, names)| names.iter().map(move |name| (text.find(&format!(" {name} ")), *value)))
        .filter_map(|(at, value)| at.map(|at| (at, value)))
        .min_by_key(|(at, _)| *at)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_thing_named_is_the_subject() {
        let cases = [
            ("A product photo of a coffee mug on a wooden table", Subject::Mug, Surface::Wood),
            ("a minimalist logo for a bakery", Subject::Emblem, Surface::Plain),
            ("a lighthouse on a cliff at dawn, wide shot, soft light", Subject::Lighthouse, Surface::Plain),
            ("a tea pot", Subject::Teapot, Surface::Plain),
            ("storm over the sea", Subject::Boat, Surface::Water),
            ("a red shoe on marble", Subject::Shoe, Surface::Marble),
        ];
        for (prompt, subject, surface) in cases {
            let brief = Brief::of(prompt, "");
            assert_eq!((brief.subject, brief.surface), (subject, surface), "{prompt}");
        }
    }

    #[test]
    fn what_the_negative_prompt_names_is_not_drawn() {
        assert_eq!(Brief::of("a cat and a dog", "").subject, Subject::Cat);
        assert_eq!(Brief::of("a cat and a dog", "cat").subject, Subject::Dog);
    }
}
