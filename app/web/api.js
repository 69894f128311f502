// Requests to the service's API, with the key that the tab keeps. No key and no text of a paper is
// ever in an address.

import { askForKey, key } from "./key.js";
import { T } from "./texts.js";

/** An answer that is an error; `code` is the API's. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status 0 if there was no answer
   * @param {string} code
   * @param {number} retryAfter seconds
   */
  constructor(message, status, code, retryAfter) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/**
 * Send a request; asks for the API key if one is needed.
 * @param {string} path below `/v1/`, or another path of the service
 * @param {RequestInit} [options]
 * @returns {Promise<Response>} with a status below 400
 */
export async function request(path, options = {}) {
  for (;;) {
    const response = await sent(path, options);
    if (response.status < 400) return response;
    const error = await errorOf(response);
    if (response.status !== 401) throw error;
    await askForKey(key() ? error.message : "");
  }
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function sent(path, options) {
  const headers = new Headers(options.headers);
  if (key()) headers.set("Authorization", `Bearer ${key()}`);
  try {
    return await fetch(new URL(path, document.baseURI), {
      ...options,
      headers,
      credentials: "omit",
      redirect: "error",
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(T.noAnswer, 0, "no_answer", 3);
  }
}

/** @param {Response} response */
async function errorOf(response) {
  const retry = Number(response.headers.get("Retry-After")) || 0;
  try {
    const { error } = await response.json();
    return new ApiError(String(error.message), response.status, String(error.code), retry);
  } catch {
    return new ApiError(T.badAnswer(response.status), response.status, "bad_answer", retry);
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 */
export async function json(path, options) {
  return (await request(path, options)).json();
}

/**
 * @param {string} path
 * @param {string} method
 * @param {unknown} body
 */
export function sendJson(path, method, body) {
  const headers = { "Content-Type": "application/json" };
  return json(path, { method, headers, body: JSON.stringify(body) });
}

/**
 * Follow a stream of server-sent events to its end.
 * @param {string} path
 * @param {(event: any) => void} take gets each event's data
 * @param {AbortSignal} signal
 */
export async function events(path, take, signal) {
  const response = await request(path, { signal, headers: { Accept: "text/event-stream" } });
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop() ?? "";
    for (const block of blocks) {
      const data = block
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trimStart());
      if (data.length) take(JSON.parse(data.join("\n")));
    }
  }
}

/**
 * Whether the service is ready, and if not, why.
 * @returns {Promise<string>} empty if it is ready
 */
export async function unreadiness() {
  const response = await sent("readyz", {});
  return response.ok ? "" : (await errorOf(response)).message;
}

/**
 * Let the browser save a file.
 * @param {Blob} blob
 * @param {string} name
 */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** @param {number} seconds */
export function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
