// Asks the service. Every failure becomes a ServiceError whose message is fit to be shown: the
// service's own words where it gave any.

export class ServiceError extends Error {}

/** What is likely in a picture, with what the model saw of it. */
export function predict(picture, signal) {
  return post("predict?include=seen", picture, signal);
}

/** The whole number in a picture. */
export function read(picture, signal) {
  return post("read", picture, signal);
}

/** The serving model's scores on MNIST's test images. */
export function evaluate() {
  return ask("evaluate?dataset=mnist-test", { method: "POST" });
}

export function models() {
  return ask("models");
}

export function card(version) {
  return ask(cardAddress(version));
}

export function cardAddress(version) {
  return `models/mnist/versions/${encodeURIComponent(version)}`;
}

export function testImageAddress(index) {
  return `datasets/mnist-test/images/${index}.png`;
}

function post(address, picture, signal) {
  // The content decides what a picture is; the type only has to say that it is one.
  const type = picture.type.startsWith("image/") ? picture.type : "image/unknown";
  return ask(address, { method: "POST", body: picture, headers: { "Content-Type": type }, signal });
}

async function ask(address, options) {
  let response;
  let answer;
  try {
    response = await fetch(address, options);
    answer = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(
      response ? `The service answered ${response.status}.` : "The service cannot be reached.",
    );
  }
  if (!response.ok)
    throw new ServiceError(answer.detail ?? `The service answered ${response.status}.`);
  return answer;
}
