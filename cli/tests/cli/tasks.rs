//! Tasks where there is no fleet: said before anything is begun, or by the step.

use crate::folder::Folder;

const COUNTED: &str = "workflow: counted
steps:
  - {id: count, uses: task.count-words, with: {text: every journey}}
outputs:
  words: ${{ steps.count.words }}
";

const PARENT: &str = "workflow: parent
steps:
  - {id: child, uses: 'workflow:counted'}
";

#[test]
fn a_task_is_valid_and_planned_and_refused_before_anything_is_begun() {
    let folder = Folder::new();
    folder.write("counted.yaml", COUNTED);
    folder.run(&["validate", "counted.yaml"]).expect(0).says(&["task.count-words", "workers of a fleet"]);
    folder.run(&["plan", "counted.yaml"]).expect(0).says(&["workers of a fleet"]).prints(&["task.count-words"]);
    folder.run(&["run", "counted.yaml"]).expect(2).says(&["workers of a fleet", "broker.url", "darkroom test"]);
    assert!(!folder.path(".darkroom").exists(), "nothing was begun");
}

#[test]
fn a_task_of_a_child_fails_and_says_what_it_needs() {
    let folder = Folder::new();
    folder.write("counted.yaml", COUNTED);
    folder.write("parent.yaml", PARENT);
    folder.run(&["run", "parent.yaml"]).expect(1).says(&["`task.count-words` is done by workers of a fleet", "submit"]);
}
