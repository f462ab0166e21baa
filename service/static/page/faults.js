// Refusals of the service in the words of whoever uses the page, with what to do.

const LIMIT = /larger than (\d+) bytes/;
const PICTURES = "PNG, JPEG, WebP, BMP, GIF and TIFF can be read.";
const BUSY = {
  "rate-spent": "You have asked for more than your share. Wait a moment.",
  "queue-full": "The service is busy. Wait a moment.",
  "store-full": "The service keeps no more labels.",
  unavailable: "The service is starting or stopping. Wait a moment.",
  "deadline-exceeded": "The service took too long. Wait a moment.",
};

/** What a problem of the service means; `problem` is its body, or nothing where there is none. */
export function inWords(status, problem) {
  if (!problem?.detail) return `The service answered ${status}. Whoever runs it can find out why.`;
  const kind = problem.type?.split(":").at(-1);
  const detail = sentence(problem.detail);
  if (kind in BUSY) return BUSY[kind];
  if (status === 413) return tooLarge(detail);
  if ([400, 415].includes(status)) return `${detail} Choose another picture: ${PICTURES}`;
  return detail;
}

function tooLarge(detail) {
  const bytes = LIMIT.exec(detail)?.[1];
  if (!bytes) return `${detail} Choose a smaller one.`;
  return `The picture is too large: ${Math.floor(bytes / 2 ** 20)} MB is the most. Choose a smaller one.`;
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}
