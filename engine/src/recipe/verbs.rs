//! The verbs of recipes: the one table from which sentences are read, and from which the reference page and the verbs that
//! errors offer are made.

/// A verb: what people call it, and the step that it stands for.
#[derive(Debug)]
pub struct Verb {
    /// What it is called, the usual name first. Words between those of a name that mean nothing (`the`, `it`) may be left out
    /// or put in.
    pub names: &'static [&'static str],
    /// The op of its step; empty for a verb that only holds others together.
    pub op: &'static str,
    /// How the words behind it are read.
    pub words: Words,
    /// Parameters that the verb itself gives, as JSON text. What the sentence says goes before them.
    pub gives: &'static [(&'static str, &'static str)],
    /// What a percentage behind it does: a parameter is 1 and that much more (1) or less (-1).
    pub percent: Option<(&'static str, i8)>,
    /// What it does, in one sentence for people.
    pub summary: &'static str,
    /// A sentence with it.
    pub example: &'static str,
}

/// How the words behind a verb are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// Settings only, such as sizes, formats and parameters.
    Settings,
    /// Text for this parameter, up to a bracket, `with`, `using`, an arrow or another verb; then settings.
    Text(&'static str),
    /// The same, and the verb is part of the text.
    Whole(&'static str),
    /// Other sentences, in brackets or behind a colon.
    Sentences,
}

const fn verb(
    names: &'static [&'static str],
    op: &'static str,
    words: Words,
    summary: &'static str,
    example: &'static str,
) -> Verb {
    Verb { names, op, words, gives: &[], percent: None, summary, example }
}

const fn giving(verb: Verb, gives: &'static [(&'static str, &'static str)]) -> Verb {
    Verb { gives, ..verb }
}

const fn percent(verb: Verb, param: &'static str, sign: i8) -> Verb {
    Verb { percent: Some((param, sign)), ..verb }
}

/// Every verb, in the order of the reference page.
pub static VERBS: &[Verb] = &[
    verb(
        &["generate", "create", "make", "draw", "render", "produce"],
        "image.generate",
        Words::Text("prompt"),
        "makes one picture or several from words",
        "Generate 4 product photos of a tea pot with seeds 10, 20, 30, 40",
    ),
    verb(
        &["detect", "find", "locate"],
        "image.detect",
        Words::Text("target"),
        "finds what is named, or the most striking thing",
        "Detect the mug in the generated image",
    ),
    verb(
        &["edit", "retouch"],
        "image.edit",
        Words::Text("prompt"),
        "changes the picture as told",
        "Edit the image: neon rain in the background (nano-banana)",
    ),
    verb(
        &["change", "replace", "add", "turn"],
        "image.edit",
        Words::Whole("prompt"),
        "changes the picture as told; the verb is part of what the model is told",
        "Change the sky to a red sunset",
    ),
    verb(
        &["style", "restyle", "stylize", "apply style of", "apply style", "repaint"],
        "image.style",
        Words::Text("prompt"),
        "paints the picture anew in a style",
        "Style it as a ukiyo-e woodblock print",
    ),
    verb(
        &["upscale", "enlarge"],
        "image.upscale",
        Words::Settings,
        "makes the picture larger",
        "Upscale by 4x (topaz-upscale)",
    ),
    verb(
        &["remove background", "cut out subject", "remove backgrounds"],
        "image.remove-background",
        Words::Settings,
        "makes everything but the subject transparent",
        "Remove the background",
    ),
    verb(
        &["describe", "caption"],
        "image.describe",
        Words::Text("prompt"),
        "says what the picture shows, or answers a question",
        "Describe the image: what is on the table?",
    ),
    verb(
        &["crop", "trim"],
        "image.crop",
        Words::Settings,
        "cuts out what was detected, or a proportion; several proportions make several pictures",
        "Crop to the detected mug with 30px padding",
    ),
    verb(&["resize", "scale"], "image.resize", Words::Settings, "changes the size", "Resize to 1024x1024"),
    verb(
        &["overlay", "place", "put", "stamp"],
        "image.overlay",
        Words::Settings,
        "lays a picture over it, in the middle unless a place is given",
        "Overlay the logo ./media/logo.png at position (850, 850)",
    ),
    giving(
        verb(
            &["add branding", "brand", "add watermark", "watermark", "add logo"],
            "image.overlay",
            Words::Settings,
            "lays a logo over its lower right corner, 40 pixels from the edges",
            "Add branding ./media/logo.png",
        ),
        &[("gravity", "\"south-east\""), ("margin", "40")],
    ),
    verb(
        &[
            "apply grayscale",
            "apply greyscale",
            "convert to grayscale",
            "convert to greyscale",
            "convert to black and white",
            "make black and white",
            "turn black and white",
            "grayscale",
            "greyscale",
            "desaturate fully",
        ],
        "image.grayscale",
        Words::Settings,
        "takes the colour out",
        "Apply grayscale",
    ),
    giving(
        verb(
            &[
                "color-correct",
                "colour-correct",
                "color correct",
                "colour correct",
                "correct colors",
                "correct colours",
                "correct white balance",
            ],
            "image.adjust",
            Words::Settings,
            "makes what should be grey grey",
            "Color-correct all images",
        ),
        &[("auto-white-balance", "true")],
    ),
    giving(
        percent(
            verb(
                &["brighten", "increase brightness", "raise brightness", "lighten"],
                "image.adjust",
                Words::Settings,
                "makes the picture lighter, by a tenth unless it is said by how much",
                "Brighten by 20%",
            ),
            "brightness",
            1,
        ),
        &[("brightness", "1.1")],
    ),
    giving(
        percent(
            verb(
                &["darken", "reduce brightness", "decrease brightness", "lower brightness"],
                "image.adjust",
                Words::Settings,
                "makes the picture darker, by a tenth unless it is said by how much",
                "Darken by 15%",
            ),
            "brightness",
            -1,
        ),
        &[("brightness", "0.9")],
    ),
    giving(
        percent(
            verb(
                &["increase contrast", "raise contrast", "boost contrast", "add contrast"],
                "image.adjust",
                Words::Settings,
                "raises the contrast, by a tenth unless it is said by how much",
                "Increase the contrast by 5%",
            ),
            "contrast",
            1,
        ),
        &[("contrast", "1.1")],
    ),
    giving(
        percent(
            verb(
                &["reduce contrast", "decrease contrast", "lower contrast"],
                "image.adjust",
                Words::Settings,
                "lowers the contrast, by a tenth unless it is said by how much",
                "Reduce the contrast by 10%",
            ),
            "contrast",
            -1,
        ),
        &[("contrast", "0.9")],
    ),
    giving(
        percent(
            verb(
                &[
                    "saturate",
                    "increase saturation",
                    "raise saturation",
                    "boost saturation",
                    "boost colors",
                    "boost colours",
                ],
                "image.adjust",
                Words::Settings,
                "strengthens the colours, by a tenth unless it is said by how much",
                "Increase the saturation by 10%",
            ),
            "saturation",
            1,
        ),
        &[("saturation", "1.1")],
    ),
    giving(
        percent(
            verb(
                &["desaturate", "reduce saturation", "decrease saturation", "lower saturation"],
                "image.adjust",
                Words::Settings,
                "weakens the colours, by a tenth unless it is said by how much",
                "Desaturate by 30%",
            ),
            "saturation",
            -1,
        ),
        &[("saturation", "0.9")],
    ),
    verb(
        &["adjust"],
        "image.adjust",
        Words::Settings,
        "changes brightness, contrast, saturation and gamma, 1 being what they are",
        "Adjust with contrast 1.05 and saturation 1.1",
    ),
    verb(
        &["convert", "encode", "compress"],
        "image.encode",
        Words::Settings,
        "writes the picture in a format",
        "Convert to WebP (quality 85)",
    ),
    giving(
        verb(
            &["optimize", "optimise"],
            "image.encode",
            Words::Settings,
            "writes it as WebP of quality 85 unless something else is said",
            "Optimize for web (WebP, quality 85)",
        ),
        &[("format", "\"webp\""), ("quality", "85")],
    ),
    verb(
        &[
            "make contact sheet",
            "create contact sheet",
            "arrange on contact sheet",
            "put on contact sheet",
            "contact sheet",
        ],
        "image.contact-sheet",
        Words::Settings,
        "puts all the pictures on one sheet",
        "Make a contact sheet of all images (columns 3)",
    ),
    verb(
        &[
            "animate",
            "make video of",
            "make video from",
            "make video",
            "generate video of",
            "generate video from",
            "create video of",
            "create video from",
            "turn into video",
        ],
        "video.generate",
        Words::Text("prompt"),
        "makes a film that begins with the picture, if there is one",
        "Animate it with a slow zoom in (minimax/video-01, 5 seconds)",
    ),
    verb(
        &["narrate", "say", "speak", "read aloud", "generate narration", "generate speech"],
        "audio.speech",
        Words::Text("text"),
        "speaks a text",
        "Narrate \"Every journey starts with a light.\" (voice nova)",
    ),
    verb(
        &["save", "store", "write", "export"],
        "save",
        Words::Settings,
        "saves what the step before it made, as a file or into a folder",
        "Save as ./output/product-final.png",
    ),
    verb(
        &["ask for approval", "wait for approval", "get approval", "ask for review", "request approval"],
        "human.approve",
        Words::Text("title"),
        "waits until a person has approved of the picture",
        "Ask for approval: \"Publish this picture?\"",
    ),
    verb(
        &["wait for event", "wait for signal"],
        "wait.event",
        Words::Text("name"),
        "waits for an event that somebody sends",
        "Wait for the event payment",
    ),
    verb(&["wait", "sleep", "pause"], "sleep", Words::Settings, "waits for a time", "Wait for 2 hours"),
    giving(
        verb(
            &["notify", "post to", "call"],
            "notify.webhook",
            Words::Settings,
            "tells a server that the run has come this far",
            "Notify https://hooks.example.com/done",
        ),
        &[("body", "{\"workflow\":\"${{ run.workflow }}\",\"run\":\"${{ run.id }}\"}")],
    ),
    verb(
        &["process", "edit as follows"],
        "",
        Words::Sentences,
        "does several things to each picture",
        "Process all images: resize to 1920x1080, color-correct",
    ),
    verb(
        &[
            "create social media variants",
            "create variants",
            "create versions",
            "make social media variants",
            "make variants",
            "make versions",
            "generate social media variants",
            "generate variants",
        ],
        "",
        Words::Sentences,
        "makes several pictures of each",
        "Create social media variants (crop to 1:1, 16:9, 9:16)",
    ),
];

/// Words that mean nothing by themselves.
pub const FILLERS: &[&str] = &[
    "a", "an", "the", "it", "its", "them", "this", "that", "these", "their", "to", "with", "by", "of", "in", "on",
    "at", "as", "for", "from", "into", "over", "onto", "using", "and", "then", "please", "also",
];

/// Words that belong to the steps of an op and say nothing that it doesn't do anyway.
pub const OWN: &[(&str, &[&str])] = &[
    ("image.encode", &["web", "delivery", "website"]),
    ("image.overlay", &["position", "corner", "coordinates"]),
    ("image.resize", &["size", "resolution", "pixels", "exactly"]),
    ("image.crop", &["box", "object", "subject", "square", "social", "media"]),
    ("image.upscale", &["size", "resolution"]),
    ("image.contact-sheet", &["sheet", "contact", "one"]),
    ("save", &["folder"]),
];

/// Words for what the sentence works on.
pub const PICTURES: &[&str] = &[
    "image",
    "images",
    "picture",
    "pictures",
    "photo",
    "photos",
    "result",
    "results",
    "shot",
    "shots",
    "output",
    "outputs",
    "variant",
    "variants",
    "variation",
    "variations",
    "video",
    "videos",
    "film",
    "audio",
    "file",
    "files",
    "crop",
    "crops",
    "logo",
    "watermark",
    "branding",
];

/// Words before one of those.
pub const MADE: &[&str] = &[
    "generated",
    "resulting",
    "final",
    "cropped",
    "resized",
    "edited",
    "finished",
    "processed",
    "brand",
    "company",
    "previous",
    "new",
    "styled",
    "upscaled",
    "optimized",
    "approved",
];

/// Words that say that all the pictures are meant.
pub const ALL: &[&str] = &["all", "every", "each", "both", "everything"];
