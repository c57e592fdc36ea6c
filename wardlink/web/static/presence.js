/** Tells the hub that this ward page is open and whether it can sound: one that is mute, or falls silent, is a technical alarm on the engineers' pages. */

const EVERY_MS = 2000;

export class Presence {
  /** @param {import("./hub.js").Hub} hub @param {string} ward */
  constructor(hub, ward) {
    this.hub = hub;
    this.path = `/api/v1/ward/${encodeURIComponent(ward)}/screens/${crypto.randomUUID ? crypto.randomUUID() : randomId()}`;
    /** @type {"on" | "off" | "none" | null} */
    this.sound = null;
    this.sending = false;
    setInterval(() => void this.send(), EVERY_MS);
    // Whoever closes the page, or signs out, is no silence. Once signed out it could not be told any more.
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => { if (event.persisted) void this.send(); });
    document.addEventListener("submit", (event) => { if (event.target instanceof HTMLFormElement && event.target.action.endsWith("/sign-out")) this.close(); }, true);
  }

  /** Outlives the page. */
  close() {
    if (this.sound === null || this.hub.signedOut) return;
    void this.hub.forget(this.path).catch((error) => console.info("page not told of", error));
  }

  /** @param {"on" | "off" | "none"} sound */
  tell(sound) {
    if (sound === this.sound) return;
    this.sound = sound;
    void this.send();
  }

  /** One report at a time: of two on their way the older could arrive last, and stand. */
  async send() {
    if (this.sending || this.sound === null || this.hub.signedOut) return;
    this.sending = true;
    const told = this.sound;
    try {
      await this.hub.post(this.path, { sound: told });
    } catch (error) {
      console.info("page not told of", error); // the next beat tells again
      return;
    } finally {
      this.sending = false;
    }
    if (told !== this.sound) void this.send();
  }
}

/** Browsers keep randomUUID from pages without TLS. */
function randomId() {
  const bytes = [...crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");
  return bytes.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-8$4-$5");
}
