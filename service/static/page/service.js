// Asks the service. Every failure becomes a ServiceError whose message is fit to be shown.

import { inWords } from "./faults.js";
import { hasKey, keyFields, wantedKey } from "./key.js";

/** Beyond the service's own deadlines (10 s, for the test run 120 s) nothing comes any more. */
const DEADLINE = 15_000;
const EVALUATE_DEADLINE = 125_000;
/** How many mistakes of a version are listed, and right images: of mistakes all, but of a very bad one. */
const MISTAKES = 1000;
const PASSING = [429, 503, 504];

export class ServiceError extends Error {
  /** `isPassing`: the same may be answered if it is asked again; `status` is null without an answer. */
  constructor(message, isPassing, status = null) {
    super(message);
    this.isPassing = isPassing;
    this.status = status;
  }
}

/**
 * What is likely in a picture, with what the model saw of it; `why` adds what spoke for it. Of a
 * drawing that `isGrowing`, the service keeps nothing for review.
 */
export function predict(picture, signal, { why = false, version = null, isGrowing = false } = {}) {
  const which = version === null ? "" : `&version=${encodeURIComponent(version)}`;
  return post(`predict?include=seen${why ? ",why" : ""}${which}`, picture, signal, isGrowing);
}

/** What is likely in each of several pictures. */
export function predictEach(pictures, signal) {
  const body = new FormData();
  pictures.forEach((picture, index) => body.append("files", picture, `${index}.png`));
  return ask("predict?include=seen", { method: "POST", body, headers: { "X-Drawing": "growing" }, signal });
}

/** The whole number in a picture. */
export function read(picture, signal) {
  return post("read?include=probabilities", picture, signal, true);
}

/** Why a picture is read as it is, and what would make it the digit `against`, if one is given. */
export function explain(picture, against, signal) {
  return post(against === null ? "explain" : `explain?against=${against}`, picture, signal);
}

/** What each convolution makes of a picture. */
export function layers(picture, signal) {
  return post("layers", picture, signal, true);
}

/** Says that an image, 784 grey values, shows a digit, or none where that is null; gives the label. */
export function giveFeedback(image, digit) {
  return send("feedback", { digit, image });
}

/** Takes back a label of this caller's. */
export function takeBack(label) {
  return ask(`feedback/${encodeURIComponent(label)}`, { method: "DELETE" });
}

/** The images whose labels would teach most: {waiting, items}. */
export function review(count) {
  return ask(`review?count=${count}`);
}

/** Says what an image of the review shows; gives the label. */
export function labelReviewed(image, digit) {
  return send(`review/${encodeURIComponent(image)}`, { digit });
}

/** A version's scores on MNIST's test images, the serving one's by default. */
export function evaluate(version = null) {
  const which = version === null ? "" : `&version=${encodeURIComponent(version)}`;
  return ask(`evaluate?dataset=mnist-test&mistakes=${MISTAKES}${which}`, { method: "POST" }, EVALUATE_DEADLINE);
}

export function models() {
  return ask("models");
}

export function card(version) {
  return ask(`models/mnist/versions/${encodeURIComponent(version)}`);
}

/** Whether the champion's answers are still like those to held-out digits. */
export function drift() {
  return ask("drift");
}

/** How the challenger does against the champion. */
export function challenger() {
  return ask("models/mnist/challenger");
}

/** A test image, as a file. */
export function testImage(index) {
  return ask(testImageAddress(index), {}, DEADLINE, (response) => response.blob());
}

/** How long the model takes for one image by the service's own clock, in milliseconds. */
export function inferTime(version) {
  const address = `predict?version=${encodeURIComponent(version)}`;
  const headers = { "Content-Type": "application/octet-stream", "X-Drawing": "growing" };
  const options = { method: "POST", body: new Uint8Array(784).fill(128, 300, 420), headers };
  return ask(address, options, DEADLINE, async (response) => {
    await response.arrayBuffer();
    return Number(/infer;dur=([0-9.]+)/.exec(response.headers.get("Server-Timing"))?.[1]);
  });
}

export function testImageAddress(index) {
  return `datasets/mnist-test/images/${index}.png`;
}

function post(address, picture, signal, isGrowing = false) {
  // The content decides what a picture is; the type only has to say that it is one.
  const type = picture.type.startsWith("image/") ? picture.type : "image/unknown";
  const headers = { "Content-Type": type, ...(isGrowing && { "X-Drawing": "growing" }) };
  return ask(address, { method: "POST", body: picture, headers, signal });
}

function send(address, content) {
  const headers = { "Content-Type": "application/json" };
  return ask(address, { method: "POST", body: JSON.stringify(content), headers });
}

/** Lets `image` show a picture of the service, which an `img` cannot ask for with a key. */
export async function showPicture(image, address) {
  if (!hasKey()) return image.setAttribute("src", address);
  const response = await fetch(address, { headers: keyFields() });
  if (response.ok) image.src = URL.createObjectURL(await response.blob());
}

/** Asks for `address`; `take` gets what is wanted out of the response, by default its JSON. */
async function ask(address, { signal, headers, ...options } = {}, deadline = DEADLINE, take = null) {
  const signals = [signal, AbortSignal.timeout(deadline)].filter(Boolean);
  let response;
  let answer;
  try {
    response = await fetch(address, {
      ...options,
      headers: { ...headers, ...keyFields() },
      signal: AbortSignal.any(signals),
    });
    answer = await (take && response.ok ? take(response) : response.json());
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw unanswered(error, response);
  }
  if (!response.ok) throw refused(response.status, answer, wantedKey(response));
  return answer;
}

function unanswered(error, response) {
  if (error.name === "TimeoutError") return new ServiceError("The service does not answer.", true);
  if (response) return refused(response.status);
  return new ServiceError("The service cannot be reached.", true);
}

function refused(status, problem, words = null) {
  return new ServiceError(words ?? inWords(status, problem), PASSING.includes(status), status);
}
