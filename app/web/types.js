// Types of the API's answers, for the checker and for readers; see /docs for what they mean.

/**
 * @typedef {[number, number, number, number]} BBox
 * @typedef {{page: number, quote: string, bbox: BBox, score: number}} Evidence
 * @typedef {{page: number, kind: string, text: string, bbox: BBox}} Finding
 * @typedef {"wrong" | "trivial" | "not_in_paper"} Reason
 *
 * @typedef {object} PointState
 * @property {string} id
 * @property {string} section
 * @property {"point" | "section"} kind
 * @property {string | null} written
 * @property {string} text
 * @property {Reason | null} dismissed
 * @property {boolean} useful
 * @property {Evidence[]} evidence
 * @property {string[]} unsupported
 *
 * @typedef {{review_id: string, version: number, points: PointState[]}} ReviewPoints
 *
 * @typedef {object} Verdict
 * @property {"accept" | "reject" | "undecided" | null} decision
 * @property {number | null} probability
 * @property {boolean} calibrated
 * @property {string | null} calibration
 * @property {"review_line" | "probe" | null} source
 * @property {number[]} samples
 * @property {number | null} mean
 * @property {number | null} spread
 *
 * @typedef {object} Integrity
 * @property {Finding[]} hidden_text
 * @property {Finding[]} visible_instructions
 * @property {string[]} blinded
 * @property {boolean} repaired
 * @property {number[]} ocr_pages
 * @property {string[]} unread
 * @property {{heading: string, page: number, tokens: number, kept_tokens: number}[]} truncated
 * @property {Verdict | null} verdict_with_hidden_text
 * @property {string[]} cut_sections
 * @property {number} repeated_points
 *
 * @typedef {{heading: string, level: number, page: number, kind: string, tokens: number, included: boolean}} SectionInfo
 * @typedef {{title: string, abstract: string, pages: number, sha256: string, sections: SectionInfo[]}} PaperInfo
 *
 * @typedef {object} Review
 * @property {string} id
 * @property {number} created
 * @property {"queued" | "in_progress" | "completed" | "failed" | "cancelled"} status
 * @property {string} model
 * @property {"review" | "verdict"} mode
 * @property {string} template
 * @property {{message: string, code: string} | null} error
 * @property {number | null} [ahead]
 * @property {string | null} notice
 * @property {PaperInfo | null} paper
 * @property {Verdict | null} verdict
 * @property {Integrity | null} integrity
 * @property {boolean | null} constrained
 *
 * @typedef {object} ReviewSummary
 * @property {string} id
 * @property {number} created
 * @property {Review["status"]} status
 * @property {string} model
 * @property {string} template
 * @property {string | null} title
 * @property {string} name
 * @property {string | null} decision
 * @property {number | null} probability
 * @property {{message: string, code: string} | null} error
 *
 * @typedef {{name: string, sections: {field: string, heading: string, bullets: boolean}[]}} TemplateInfo
 *
 * @typedef {object} ServiceInfo
 * @property {string | null} model
 * @property {string | null} notice
 * @property {boolean} keeps_reviews
 * @property {string[]} fetch_hosts
 * @property {number} max_upload_mb
 * @property {TemplateInfo[]} templates
 * @property {[number, number] | null} abstain
 * @property {{name: string, bins: {low: number, high: number, papers: number, accepted: number}[]} | null} calibration
 *
 * @typedef {{number: number, width: number, height: number, largest_scale: number}} PageInfo
 * @typedef {{start: number, end: number, page: number, bbox: BBox}} LineBox
 *
 * @typedef {object} PaperText
 * @property {string} title
 * @property {LineBox[]} title_lines
 * @property {string} abstract
 * @property {LineBox[]} abstract_lines
 * @property {{heading: string, heading_lines: LineBox[], text: string, paragraphs: {kind: string, start: number, end: number, lines: LineBox[]}[]}[]} sections
 *
 * @typedef {object} Stats
 * @property {Record<string, number>} statuses
 * @property {Record<string, number>} decisions
 * @property {number[]} probabilities
 * @property {{model: string, reviews: number, points: number, kept: number, share_kept: number | null, dismissed: Record<Reason, number>, useful: number, edited: number, added: number}[]} points
 */

export {};
