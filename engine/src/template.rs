//! The file that `darkroom workflows new NAME` writes.

/// A commented workflow called `name` that runs as it is, without keys.
pub fn template(name: &str) -> String {
    TEMPLATE.replace("NAME", name)
}

const TEMPLATE: &str = r#"# A workflow of Darkroom. Check it with `darkroom validate`, see what it would do with `darkroom plan`,
# run it with `darkroom run`.
workflow: NAME
title: NAME
description: Makes a picture, cuts it to size and saves it

# What a run is given: `darkroom run NAME.yaml -i subject="tea pot"`.
# Types: string, integer, number, boolean, enum, image, image[], video, audio, file, file[], json, csv, jsonl, scenes.
inputs:
  subject:
    type: string
    title: What the picture shows
    default: coffee mug

# Each step waits for the ones before it. A picture flows from step to step by itself.
steps:
  - id: picture
    uses: image.generate
    with:
      model: local                 # needs no key; flux-pro, flux-dev and others do
      prompt: A product photo of a ${{ inputs.subject }} on a wooden table
      seed: 42                     # the same seed makes the same picture
  - uses: image.resize             # its id is `resize`, the last word of the op
    with:
      width: 1024
      height: 768
      fit: cover                   # or inside, exact, pad
    save: ./output/${{ inputs.subject | slug }}.png

  # The same for several values at once; `for-each:` does it for the items of a list.
  - id: sizes
    matrix:
      width: [320, 640]
    uses: image.resize
    with:
      image: ${{ steps.picture.image }}
      width: ${{ matrix.width }}
    save: ./output/${{ inputs.subject | slug }}-${{ matrix.width }}.webp

outputs:
  picture: ${{ steps.resize.image }}
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Source, compile};

    #[test]
    fn it_compiles_without_a_warning() {
        let compiled = compile(&Source::new("new.yaml", template("my-first"))).unwrap();
        assert_eq!(compiled.warnings, []);
        assert_eq!(compiled.plan.workflow, "my-first");
    }
}
