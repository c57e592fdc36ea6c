/** Sign-in, its steps and the own account: shows what is typed on request, prints, and keeps one press from being two. The pages work without it. */
for (const button of document.querySelectorAll("button[data-show]")) {
  if (!(button instanceof HTMLButtonElement)) continue;
  const input = document.getElementById(button.dataset.show ?? "");
  button.hidden = false;
  button.addEventListener("click", () => {
    if (!(input instanceof HTMLInputElement)) return;
    const hidden = input.type === "password";
    input.type = hidden ? "text" : "password";
    button.textContent = (hidden ? button.dataset.hideWord : button.dataset.showWord) ?? "";
    button.setAttribute("aria-pressed", String(hidden));
    input.focus();
  });
}
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", () => {
    for (const button of form.querySelectorAll("button.primary")) button.setAttribute("aria-busy", "true");
  });
}
for (const button of document.querySelectorAll("button[data-print]")) {
  if (!(button instanceof HTMLButtonElement)) continue;
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
