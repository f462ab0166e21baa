// The key of whoever uses the page: asked for where the service wants one, kept for this tab alone.

const NAME = "mnist-serve-key";
const SCOPE = /scope="(\w+)"/;

export function hasKey() {
  return sessionStorage.getItem(NAME) !== null;
}

/** The header fields that a request needs. */
export function keyFields() {
  return hasKey() ? { Authorization: `Bearer ${sessionStorage.getItem(NAME)}` } : {};
}

/** Why a response refuses the caller, in words, or null; asks for a key, or for another one. */
export function wantedKey(response) {
  if (![401, 403].includes(response.status)) return null;
  const challenge = response.headers.get("WWW-Authenticate");
  if (challenge === null) return null; // another proxy's refusal, or another site's page
  let words = "The service wants a key for this.";
  if (response.status === 403) words = `Your key lacks the scope ${SCOPE.exec(challenge)?.[1]}.`;
  else if (hasKey()) words = "Your key is not known here, was revoked, or has expired.";
  if (response.status === 401) sessionStorage.removeItem(NAME);
  document.getElementById("key-words").textContent = words;
  document.getElementById("key").hidden = false;
  return words;
}

/** Brings the form that asks for a key to life; `key` is dispatched to the document after it. */
export function startKey(form) {
  const input = form.querySelector("input");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(NAME, input.value.trim());
    form.reset();
    form.hidden = true;
    document.querySelector("[role=tab][aria-selected=true]").focus();
    document.dispatchEvent(new Event("key"));
  });
}
