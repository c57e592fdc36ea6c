/** Passkeys: asks the browser's authenticator and sends its answer with the form. Without it, codes do. */

/** What a button asks, as the browser takes it. @param {HTMLButtonElement} button @returns {Promise<Credential | null>} */
function ask(button) {
  const asked = JSON.parse(button.dataset.asked ?? "{}");
  return button.dataset.passkey === "create"
    ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asked) })
    : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asked) });
}

/** @param {HTMLButtonElement} button @param {HTMLFormElement} form */
async function send(button, form) {
  const answer = /** @type {HTMLInputElement} */ (form.elements.namedItem("passkey"));
  const refused = form.querySelector("[data-passkey-refused]");
  if (refused instanceof HTMLElement) refused.hidden = true;
  try {
    const credential = await ask(button);
    if (!(credential instanceof PublicKeyCredential)) throw new DOMException("no passkey", "NotAllowedError");
    answer.value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch (error) {
    // Refused by the person, or by the authenticator: the code is still there.
    if (!(error instanceof DOMException)) throw error;
    if (refused instanceof HTMLElement) refused.hidden = false;
  }
}

const able = typeof PublicKeyCredential !== "undefined" && "parseRequestOptionsFromJSON" in PublicKeyCredential;
for (const button of document.querySelectorAll("button[data-passkey]")) {
  if (!able || !(button instanceof HTMLButtonElement) || !button.form) continue;
  const form = button.form;
  button.hidden = false;
  button.addEventListener("click", () => {
    const adds = button.dataset.passkey === "create";
    if (!adds || form.reportValidity()) void send(button, form);
  });
}
