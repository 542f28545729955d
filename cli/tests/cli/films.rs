//! Films, which another program makes: it is missing, or left alone.

use crate::folder::{Folder, photo, until, workflow};
use std::path::Path;

/// The search path of this process, which commands are not given otherwise.
fn search_path() -> String {
    std::env::var("PATH").unwrap()
}

/// The number of the ffmpeg that runs in a folder, if one does.
fn ffmpeg_in(folder: &Path) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|process| Some((process.file_name().to_str()?.parse().ok()?, process.path())))
        .find(|(_, process)| {
            // What can't be read has ended meanwhile, or is somebody else's.
            let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
            name.trim() == "ffmpeg" && std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder)
        })
        .map(|(number, _)| number)
}

#[test]
fn without_ffmpeg_the_error_says_how_to_get_it_and_with_it_the_run_goes_on() {
    let folder = Folder::new();
    let image = format!("image={}", photo("chelsea.png"));
    let file = workflow("img-edit-to-video");
    let failed = folder.run(&["run", &file, "-i", &image]).expect(1);
    let failed = failed.says(&["`video_generation` failed", "ffmpeg is not installed", "apt-get install ffmpeg"]);
    let command = failed.resume_command();
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    folder.run_with(&[("PATH", &search_path())], &command).expect(0).never_says(&["image_edit  completed"]);
    let clip = folder.files("output").remove("clip.mp4").unwrap();
    assert_eq!(&clip[4..8], b"ftyp");
}

#[test]
fn ffmpeg_ends_when_its_worker_is_killed_and_nothing_of_it_is_left() {
    let folder = Folder::new();
    folder.copy_photo("rocket.jpg", "rocket.jpg");
    folder.write(
        "film.yaml",
        "workflow: film\ninputs:\n  image: {type: image, default: rocket.jpg}\nsteps:\n  - uses: image.upscale\n  - uses: video.generate\n    with: {prompt: zoom in, duration: 20s}\n    save: film.mp4\n",
    );
    let (path, args) = (search_path(), ["run", "film.yaml"]);
    let run = folder.start_with(&[("PATH", &path)], &args);
    let here = folder.path("");
    until("ffmpeg to begin", || ffmpeg_in(&here));
    assert!(run.kill());
    until("ffmpeg to end", || ffmpeg_in(&here).is_none().then_some(()));
    folder.run_with(&[("PATH", &path)], &args).expect(0).says(&["continuing"]);
    assert_eq!(folder.names(".darkroom/staging"), [""; 0]);
    assert_eq!(&folder.files("").remove("film.mp4").unwrap()[4..8], b"ftyp");
}
