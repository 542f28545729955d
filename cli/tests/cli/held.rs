//! Runs that wait for time, events and people: in one process, from several, and across the end of it.

use crate::folder::Folder;

const ORDER: &str = "workflow: order
steps:
  - id: paid
    uses: wait.event
    timeout: 1h
    with:
      name: payment
      filter: data.order == 7
      schema: {type: object, required: [order]}
  - id: review
    uses: human.approve
    with:
      title: Send it?
      ask: {parcel: {type: integer, minimum: 1}}
  - {id: tell, uses: noop, with: {data: ['${{ steps.paid.data.order }}', '${{ steps.review.answers.parcel }}', '${{ steps.review.by }}']}}
outputs:
  told: ${{ steps.tell.data }}
";

#[test]
fn a_run_says_what_it_waits_for_and_other_commands_let_it_go_on() {
    let folder = Folder::new();
    folder.write("order.yaml", ORDER);
    let mut live = folder.start(&["run", "order.yaml"]);
    live.line_with("to send it: darkroom signal").expect("it says how");
    folder.run(&["signal", "order", "payment", "[]"]).expect(2).says(&["`paid`", "object is wanted"]);
    folder.run(&["signal", "order", "payment", "{\"order\": 8}"]).expect(0).prints(&["it is kept"]);
    folder.run(&["signal", "order", "payment", "no json"]).expect(2).says(&["is no JSON"]);
    folder.run(&["approve", "order"]).expect(5).says(&["no step of run_"]);
    let sent = folder.run(&["signal", "order", "payment", "{\"order\": 7}", "--by", "shop", "-o", "json"]).expect(0);
    assert_eq!((&sent.json()["taken"], &sent.json()["step"]), (&true.into(), &"paid".into()), "{sent}");
    live.line_with("to decide: darkroom approve").expect("it says how");
    folder.run(&["approvals", "list"]).expect(0).prints(&["review", "Send it?", "parcel"]);
    folder.run(&["approve", "order"]).expect(2).says(&["`parcel` is not answered"]);
    folder.run(&["approve", "order", "--answer", "parcel=0"]).expect(2).says(&["it is at least 1"]);
    folder.run(&["approve", "order", "--answer", "parcel=1", "--choose", "1"]).expect(2).says(&["nothing to choose"]);
    folder.run(&["approve", "order/nothing"]).expect(3).says(&["has no step `nothing`"]);
    folder.run(&["approve", "order/tell"]).expect(5).says(&["it is pending"]);
    let decided = folder.run(&["approve", "order/review", "--answer", "parcel=4", "--by", "ada"]).expect(0);
    decided.prints(&["approved by ada"]);
    live.end().expect(0);
    let shown = folder.run(&["show", "order", "-o", "json"]).expect(0).json();
    assert_eq!(shown["outputs"]["told"], serde_json::json!([7, 4, "ada"]));
    folder.run(&["show", "order"]).expect(0).prints(&["approved by ada at 20"]);
    folder.run(&["tail", "order"]).expect(0).prints(&[
        "takes the event `payment` of shop",
        "signal of",
        "refused: the data",
    ]);
    folder.run(&["reject", "order"]).expect(5).says(&["is completed already"]);
    folder.run(&["signal", "order", "payment"]).expect(5).says(&["is completed already"]);
}

#[test]
fn what_is_decided_while_nobody_works_here_counts_when_the_run_goes_on() {
    let folder = Folder::new();
    folder.write("order.yaml", ORDER);
    let mut live = folder.start(&["run", "order.yaml"]);
    live.line_with("to send it: darkroom signal").expect("it waits");
    live.interrupt();
    live.end().expect(130).says(&["goes on with the same command"]);
    folder.run(&["signal", "order", "payment", "{\"order\": 7}"]).expect(0).prints(&["took the event"]);
    folder.run(&["approve", "order", "--answer", "parcel=2", "--by", "bo"]).expect(0).prints(&["approved by bo"]);
    folder.run(&["approvals", "list"]).expect(0).prints(&["nothing waits for a person"]);
    folder.run(&["run", "order.yaml"]).expect(0).says(&["continuing"]);
    let shown = folder.run(&["show", "order", "-o", "json"]).expect(0).json();
    assert_eq!(shown["outputs"]["told"], serde_json::json!([7, 2, "bo"]));
}

#[test]
fn a_run_sleeps_through_the_end_of_its_process() {
    let folder = Folder::new();
    folder.write("nap.yaml", "workflow: nap\nsteps:\n  - {uses: sleep, with: {for: 3s}}\n  - {uses: noop}\n");
    let mut live = folder.start(&["run", "nap.yaml"]);
    live.line_with("sleeps until").expect("it sleeps");
    assert!(live.kill());
    folder.run(&["run", "nap.yaml"]).expect(0).says(&["continuing", "2/2"]);
}

#[test]
fn a_picture_is_chosen_among_several() {
    let folder = Folder::new();
    let text = "workflow: pick\ninputs: {photos: {type: 'image[]'}}\nsteps:\n  - {id: which, uses: human.approve, with: {title: Which?, choose: '${{ inputs.photos }}'}}\n  - {uses: image.resize, with: {image: '${{ steps.which.choice }}', width: 32}, save: 'chosen.png'}\n";
    folder.write("pick.yaml", text);
    folder.copy_photo("coffee.png", "a.png");
    folder.copy_photo("rocket.jpg", "b.jpg");
    let mut live = folder.start(&["run", "pick.yaml", "-i", "photos=a.png", "-i", "photos=b.jpg"]);
    live.line_with("to decide").expect("it asks");
    folder.run(&["approve", "pick"]).expect(2).says(&["one of the 2 pictures has to be chosen"]);
    folder.run(&["approve", "pick", "--choose", "3"]).expect(2).says(&["there is no picture 3"]);
    folder.run(&["approve", "pick", "--choose", "2", "--note", "sharper"]).expect(0);
    live.end().expect(0);
    assert_eq!(folder.names("").iter().filter(|name| *name == "chosen.png").count(), 1);
}

const LONG: &str = "workflow: long
inputs: {word: {type: string, default: old}}
steps:
  - {id: items, for-each: range(60), max-parallel: 1, uses: noop, with: {step-time: 30ms}}
  - {id: last, uses: noop, with: {data: '${{ inputs.word }}'}}
";

#[test]
fn a_run_is_paused_and_goes_on_with_another_input() {
    let folder = Folder::new();
    folder.write("long.yaml", LONG);
    let mut live = folder.start(&["run", "long.yaml"]);
    live.line_with("[2/60]").expect("it works");
    folder.run(&["resume", "long", "--set", "word=new"]).expect(5).says(&["is under way", "darkroom pause"]);
    folder.run(&["pause", "long", "--reason", "lunch"]).expect(0).prints(&["paused"]);
    folder.run(&["pause", "long"]).expect(5).says(&["is paused already"]);
    live.line_with("paused: lunch").expect("it says so");
    folder.run(&["resume", "long", "--set", "wrong=1"]).expect(2).says(&["wrong"]);
    folder.run(&["resume", "long", "--set", "word=new"]).expect(0);
    live.end().expect(0);
    let shown = folder.run(&["show", "long", "-o", "json"]).expect(0).json();
    assert_eq!((&shown["inputs"]["word"], &shown["steps"][1]["output"]["data"]), (&"new".into(), &"new".into()));
    folder.run(&["tail", "long"]).expect(0).prints(&["run paused: lunch", "other inputs from here on: word"]);
}

#[test]
fn a_paused_run_stays_paused_when_its_process_has_ended() {
    let folder = Folder::new();
    folder.write("long.yaml", LONG);
    let mut live = folder.start(&["run", "long.yaml"]);
    live.line_with("[2/60]").expect("it works");
    assert!(live.kill());
    folder.run(&["pause", "long"]).expect(0).prints(&["paused"]);
    folder.run(&["run", "long.yaml"]).expect(5).says(&["is paused", "darkroom resume"]);
    folder.run(&["resume", "long"]).expect(0).says(&["resuming"]);
}

#[test]
fn a_terminated_run_has_ended_at_once() {
    let folder = Folder::new();
    folder.write("long.yaml", LONG);
    let mut live = folder.start(&["run", "long.yaml"]);
    live.line_with("[2/60]").expect("it works");
    folder.run(&["terminate", "long", "--reason", "fire"]).expect(0).prints(&["cancelled"]);
    live.end().expect(1).prints(&["cancelled run_"]);
    folder.run(&["terminate", "long"]).expect(5).says(&["is cancelled already"]);
    folder.run(&["resume", "long"]).expect(0);
    let mut live = folder.start(&["run", "long.yaml", "--new"]);
    live.line_with("[2/60]").expect("it works");
    assert!(live.kill());
    folder.run(&["terminate", "@latest"]).expect(0).prints(&["cancelled"]);
}
