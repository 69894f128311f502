// All texts of the page.

/** @param {number} number */
const many = (number) => number.toLocaleString("en");
/** @param {number} number */
const percent = (number) => `${Math.round(number * 100)} %`;

export const T = {
  title: "Scientific reviewer",
  loading: "Loading…",
  failed: "Something went wrong.",
  noAnswer: "The service does not answer. Is it running?",
  /** @param {number} status */
  badAnswer: (status) => `The service answered with the status ${status}.`,
  /** @param {string} model */
  servedBy: (model) => `Model: ${model}`,
  modelLoading: "The model is being loaded",
  untitled: "Untitled paper",
  dismissToast: "Close",

  key: {
    title: "API key",
    help: "This service needs an API key. It is kept for this tab only, until you close it.",
    label: "Key",
    use: "Use this key",
    forget: "Forget the API key",
  },

  submit: {
    title: "Review a paper",
    drop: "Drop papers here, or",
    choose: "Choose files",
    formats: "PDF, LaTeX (.tex, or an archive), Markdown or text.",
    /** @param {number} megabytes */
    limit: (megabytes) => `At most ${megabytes} MB each.`,
    link: "Or an arXiv id or address",
    /** @param {string[]} hosts */
    linkHelp: (hosts) => `From ${hosts.join(", ")}.`,
    fetch: "Review it",
    options: "Options",
    template: "Form of the review",
    samples: "Reviews to draw (the spread shows how sure the model is)",
    blind: "Hide authors and venue from the model",
    injection: "Where text is hidden, also try what it would have changed",
    again: "Make a new review, also of a paper that was reviewed before",
    notKept: "This service keeps no reviews, and the page shows kept reviews only. Use the API to get one at once.",
    sent: "Papers that you sent",
    sending: "being sent",
    accepted: "accepted",
    reused: "was reviewed before",
    /** @param {string} why */
    waiting: (why) => `not sent yet: ${why} Keep this tab open; it is tried again.`,
    /** @param {string} name @param {string} state */
    announced: (name, state) => `${name}: ${state}`,
  },

  list: {
    title: "Reviews",
    empty: "There are no reviews yet.",
    none: "No review matches.",
    status: "State",
    decision: "Verdict",
    after: "From",
    before: "Until",
    any: "any",
    /** @param {number} from @param {number} to */
    shown: (from, to) => `${many(from)} to ${many(to)}`,
    newer: "Newer",
    older: "Older",
    csv: "Table as CSV",
    paper: "Paper",
    probability: "Probability of acceptance",
    model: "Model",
    created: "Created",
    actions: "Actions",
    remove: "Delete",
    /** @param {string} title */
    removeOne: (title) => `Delete the review of ${title}`,
    /** @param {string} title */
    confirm: (title) => `Delete the review of “${title}”, and its paper? This can't be undone.`,
    removed: "The review was deleted.",
  },

  /** @type {Record<string, string>} */
  statuses: {
    queued: "queued",
    in_progress: "in progress",
    completed: "completed",
    failed: "failed",
    cancelled: "cancelled",
  },
  /** @type {Record<string, string>} */
  decisions: { accept: "accept", reject: "reject", undecided: "undecided", none: "no decision" },

  stats: {
    title: "In numbers",
    histogram: "Verdicts by probability of acceptance",
    /** @param {number} low @param {number} high @param {number} count */
    bin: (low, high, count) => `${low.toFixed(1)} to ${high.toFixed(1)}: ${many(count)} reviews`,
    points: "What became of the points, in reviews that somebody worked on",
    model: "Model",
    reviews: "Reviews",
    of: "Points",
    kept: "Kept",
    wrong: "Wrong",
    trivial: "Trivial",
    not_in_paper: "Not in the paper",
    useful: "Useful",
    edited: "Edited",
    added: "Added",
    noPoints: "Nobody has worked on a review yet.",
    share: percent,
  },

  progress: {
    /** @param {number} ahead */
    queued: (ahead) => (ahead ? `In the queue; ${many(ahead)} before it.` : "In the queue, next to be started."),
    /** @param {string} why */
    unready: (why) => `Waiting: ${why}`,
    reading: "Reading the paper.",
    /** @param {number} tokens */
    prompted: (tokens) => `The model reads ${many(tokens)} tokens of the paper.`,
    /** @param {string} section @param {number} words */
    writing: (section, words) => `Writing: ${section} (${many(words)} words so far).`,
    verdict: "The review is written; the verdict is being read.",
    again: "Started again, as an attempt was interrupted.",
    lost: "The connection was lost; trying again.",
    /** @param {number} seconds */
    since: (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`,
    background: "You can close this tab: the review is made all the same, and is found in the list.",
    cancel: "Cancel",
    cancelled: "The review was cancelled.",
    completed: "The review is finished.",
    /** @param {number} sample */
    sample: (sample) => `Sample ${sample + 1}`,
  },

  review: {
    back: "All reviews",
    of: "Review",
    paper: "Paper",
    panes: "Show",
    outline: "What the paper has",
    unusual: "Not as it seems",
    ordinary: "Nothing unusual was found in the file.",
    /** @param {number} tokens */
    tokens: (tokens) => `${many(tokens)} tokens`,
    left: "not read by the model",
    page: "Page",
    /** @param {number} page */
    onPage: (page) => `p. ${page}`,
    export: "Take along",
    exportAs: "As",
    exportForm: "Form",
    edited: "as edited",
    save: "Save",
    /** @type {Record<string, string>} */
    formats: { md: "Markdown", json: "JSON", csv: "CSV", form: "Venue's form" },
    original: "Save the paper's file",
    /** @param {string} template @param {string} model @param {string} when */
    made: (template, model, when) => `Form “${template}”, by ${model}, ${when}`,
    verdictOnly: "Only the verdict was asked for; there is no review.",
  },

  integrity: {
    /** @type {Record<string, string>} */
    kinds: {
      off_page: "off the page",
      render_mode: "drawn invisibly",
      transparent: "transparent",
      tiny: "too small to see",
      invisible_colour: "in the colour of the background",
      covered: "covered",
      clipped: "cut off",
      remapped_font: "letters that are not what they show",
      hidden_layer: "on a hidden layer",
      hidden_annotation: "in a hidden note",
      actual_text: "text that replaces what is shown",
      hidden_element: "in a hidden element",
      phantom: "space without ink",
    },
    hidden: "Hidden text. The model did not see it:",
    instructions: "Visible text that speaks to a reviewing system. It is part of the paper:",
    /** @param {string} kinds @param {number} characters */
    blinded: (kinds, characters) => `Kept from the model: ${kinds} (${many(characters)} characters).`,
    repaired: "The file was damaged; text may be missing.",
    /** @param {string} pages */
    ocr: (pages) => `Scanned pages, read by character recognition: ${pages}.`,
    /** @param {string} parts */
    unread: (parts) => `Could not be read: ${parts}.`,
    truncated: "Too long for the model, so it did not see all of:",
    /** @param {number} kept @param {number} tokens */
    kept: (kept, tokens) => `${many(kept)} of ${many(tokens)} tokens read`,
    /** @param {string} sections */
    cut: (sections) => `These sections ran out of room: ${sections}.`,
    /** @param {number} count */
    repeated: (count) => `${count} points were left out, as they repeat others word for word.`,
    free: "The engine could not hold the review to its form; sections may be missing.",
    /** @param {string} decision @param {string} probability */
    withHidden: (decision, probability) =>
      `With the hidden text the verdict would have been: ${decision}${probability}.`,
  },

  verdict: {
    title: "Verdict",
    doubt: "A model's estimate. It is no decision, and it is often wrong.",
    reject: "reject",
    accept: "accept",
    none: "no decision",
    /** @param {number} probability */
    probability: (probability) => `Probability of acceptance ${probability.toFixed(2)}`,
    noProbability: "The engine gave no probability.",
    calibrated: (/** @type {string} */ name) => `calibrated by “${name}”`,
    uncalibrated: "not calibrated: the model's own, which nobody has checked",
    /** @param {number} low @param {number} high */
    band: (low, high) => `Between ${low} and ${high} this service leaves a review undecided.`,
    /** @param {number} papers @param {number} accepted @param {number} low @param {number} high */
    bin: (papers, accepted, low, high) =>
      papers
        ? `Of ${many(papers)} papers with a probability from ${low} to ${high}, ${many(accepted)} were accepted (${percent(accepted / papers)}).`
        : `No paper of the calibration had a probability from ${low} to ${high}.`,
    noBins: "The calibration does not say how many papers were accepted at this value.",
    /** @param {number} count @param {string} spread */
    samples: (count, spread) => `${count} samples; their spread (standard deviation) is ${spread}.`,
    one: "One sample, so nothing is known of the spread.",
    probe: "The review does not state this decision; it is the likelier of the two words.",
    disagree: "The review's own words and its probability point to different decisions.",
    /** @param {string} text */
    scale: (text) => `Scale from reject, 0, to accept, 1. ${text}`,
  },

  points: {
    title: "Points",
    /** @param {number} kept @param {number} all */
    kept: (kept, all) => `${kept} of ${all} kept`,
    edit: "Edit",
    save: "Save",
    cancel: "Cancel",
    restore: "Restore the model's text",
    written: "The model wrote:",
    edited: "edited",
    own: "yours",
    useful: "Useful",
    dismiss: "Dismiss",
    takeBack: "Take it in again",
    remove: "Remove",
    /** @type {Record<string, string>} */
    reasons: { wrong: "wrong", trivial: "trivial", not_in_paper: "not in the paper" },
    why: "Why?",
    dismissed: (/** @type {string} */ reason) => `dismissed: ${reason}`,
    unsupported: "not found in the paper",
    unsupportedHelp: "Marked words were not found in the paper. That does not mean that they are false.",
    passage: (/** @type {number} */ page) => `Passage on page ${page}`,
    noPassage: "No passage was found.",
    add: "Add a point",
    addTo: "Section",
    text: "Text",
    choose: "Choose a passage",
    choosing: "Draw a box on a page, or pick a block with the mouse or with Tab and Enter. Escape ends it.",
    chosen: (/** @type {string} */ quote) => `Passage: ${quote}`,
    chosenPage: (/** @type {number} */ page) => `Passage: a part of page ${page}`,
    drop: "Without a passage",
    saved: "Saved.",
    changed: "Somebody has changed the points since, perhaps you in another tab. Here is how they are now; your change was not made.",
    empty: "None.",
    for: (/** @type {string} */ action, /** @type {string} */ text) => `${action}: ${text.slice(0, 80)}`,
  },

  pages: {
    /** @param {number} number @param {number} all */
    alt: (number, all) => `Page ${number} of ${all} of the paper`,
    blocks: "Show what was recognised, in reading order",
    hidden: (/** @type {string} */ text) => `Hidden text: ${text}`,
    instruction: (/** @type {string} */ text) => `Speaks to a reviewing system: ${text}`,
    about: (/** @type {string} */ text) => `Passage about: ${text}`,
    block: (/** @type {number} */ number, /** @type {string} */ kind) => `Block ${number}, ${kind}`,
    pick: (/** @type {number} */ number, /** @type {string} */ text) => `Pick block ${number}: ${text.slice(0, 120)}`,
    noPages: "This paper has no pages; here is its text as the service read it.",
    notStored: "The paper is not stored, so it can't be shown.",
    failed: (/** @type {string} */ why) => `This page can't be shown: ${why}`,
  },
};
