// The blocks of a paper in reading order, from its text as the service read it.

/**
 * @typedef {import("./types.js").BBox} BBox
 * @typedef {import("./types.js").LineBox} LineBox
 * @typedef {{number: number, kind: string, text: string, parts: {page: number, bbox: BBox}[], lines: LineBox[], from: string}} Block
 * `parts` has a box for each column that the block stands in; `from` is the text that its lines count in.
 */

/**
 * @param {import("./types.js").PaperText} paper
 * @returns {Block[]}
 */
export function blocksOf(paper) {
  /** @type {Block[]} */
  const blocks = [];
  /**
   * @param {string} kind
   * @param {string} text
   * @param {LineBox[]} lines
   * @param {string} from
   */
  const add = (kind, text, lines, from) => {
    if (text) blocks.push({ number: blocks.length + 1, kind, text, parts: byColumn(lines), lines, from });
  };
  add("title", paper.title, paper.title_lines, paper.title);
  add("abstract", paper.abstract, paper.abstract_lines, paper.abstract);
  for (const section of paper.sections) {
    add("heading", section.heading, section.heading_lines, section.heading);
    for (const part of section.paragraphs) {
      add(part.kind, characters(section.text, part.start, part.end), part.lines, section.text);
    }
  }
  return blocks;
}

/**
 * One box for the lines that follow each other downwards.
 * @param {LineBox[]} lines
 */
function byColumn(lines) {
  /** @type {{page: number, bbox: BBox}[]} */
  const parts = [];
  for (const { page, bbox } of lines) {
    const last = parts.at(-1);
    if (last && last.page === page && bbox[3] >= last.bbox[3] - 1) {
      const of = last.bbox;
      last.bbox = [Math.min(of[0], bbox[0]), Math.min(of[1], bbox[1]), Math.max(of[2], bbox[2]), Math.max(of[3], bbox[3])];
    } else {
      parts.push({ page, bbox: [...bbox] });
    }
  }
  return parts;
}

/**
 * The text of the lines whose middle is in a box.
 * @param {Block[]} blocks
 * @param {number} page
 * @param {BBox} box
 */
export function textWithin(blocks, page, [x0, y0, x1, y1]) {
  const found = [];
  for (const block of blocks) {
    for (const line of block.lines) {
      const x = (line.bbox[0] + line.bbox[2]) / 2;
      const y = (line.bbox[1] + line.bbox[3]) / 2;
      if (line.page === page && x >= x0 && x <= x1 && y >= y0 && y <= y1) {
        found.push(characters(block.from, line.start, line.end).trim());
      }
    }
  }
  return found.join(" ");
}

/**
 * The API counts characters, JavaScript halves of some of them.
 * @param {string} text
 * @param {number} start
 * @param {number} end
 */
function characters(text, start, end) {
  return /[\ud800-\udfff]/.test(text) ? [...text].slice(start, end).join("") : text.slice(start, end);
}
