//! The workflows that come with this release.

use darkroom_engine::Source;

/// Their names and texts.
const WORKFLOWS: [(&str, &str); 10] = [
    ("face-swap-video", include_str!("../../workflows/face-swap-video.yaml")),
    ("img-edit-to-video", include_str!("../../workflows/img-edit-to-video.yaml")),
    ("logo-fleet", include_str!("../../workflows/logo-fleet.yaml")),
    ("marketing-assets", include_str!("../../workflows/marketing-assets.yaml")),
    ("photo-set", include_str!("../../workflows/photo-set.yaml")),
    ("product-photo", include_str!("../../workflows/product-photo.yaml")),
    ("scenes", include_str!("../../workflows/scenes.yaml")),
    ("style-transfer-video", include_str!("../../workflows/style-transfer-video.yaml")),
    ("upscale-enhance", include_str!("../../workflows/upscale-enhance.yaml")),
    ("web-ready", include_str!("../../workflows/web-ready.yaml")),
];

/// All of them, by name.
pub(crate) fn sources() -> impl Iterator<Item = (&'static str, Source)> {
    WORKFLOWS.into_iter().map(|(name, text)| (name, Source::new(format!("{name}.yaml"), text)))
}

/// The one of this name.
pub(crate) fn find(name: &str) -> Option<Source> {
    sources().find(|(known, _)| *known == name).map(|(_, source)| source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_workflow_of_the_folder_comes_with_it_under_its_own_name() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../workflows");
        let names = std::fs::read_dir(folder).unwrap().filter_map(|entry| {
            let path = entry.unwrap().path();
            (path.extension()? == "yaml").then(|| path.file_stem().unwrap().to_str().unwrap().to_owned())
        });
        let known: BTreeSet<String> = WORKFLOWS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(known, names.collect::<BTreeSet<_>>());
        for (name, source) in sources() {
            assert_eq!(darkroom_engine::compile(&source).unwrap().plan.workflow, name);
        }
    }
}
