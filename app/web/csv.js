// Tables as CSV.

const FORMULA = /^[=+\-@\t\r]/;

/**
 * @param {(string | number | null | undefined)[][]} rows
 */
export function csv(rows) {
  return rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/** @param {string | number | null | undefined} value */
function cell(value) {
  if (typeof value !== "string") return String(value ?? "");
  // A spreadsheet would run such a text as a formula.
  const harmless = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
