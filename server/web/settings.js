// The settings: what a request is to hold besides its messages, the key, and what this browser keeps. Nothing set means
// the server's default, which is shown in the empty field.
import { $, element } from "./dom.js";
import { texts } from "./texts.js";

// Names are the API's. least and most: of the server, which checks them again.
const kNumbers = [
  { name: "temperature", label: "temperature", hint: "temperatureHint", least: 0, most: 2, step: 0.1 },
  { name: "top_p", label: "topP", hint: "topPHint", least: 0.01, most: 1, step: 0.05 },
  { name: "top_k", label: "topK", hint: "topKHint", least: 0, most: 1_000_000, step: 1, integer: true },
  { name: "max_tokens", label: "maxTokens", hint: "maxTokensHint", least: 1, most: 1_000_000, step: 1, integer: true },
  { name: "seed", label: "seed", hint: "seedHint", least: 0, most: Number.MAX_SAFE_INTEGER, step: 1, integer: true },
];
const kImageSizes = [256, 512, 768];
const kThemes = ["system", "light", "dark"];
const kKeyName = "g3n.key";

const isValid = ({ least, most, integer }, value) =>
  typeof value === "number" && value >= least && value <= most && (!integer || Number.isInteger(value));

export class Settings {
  #values = { system: "" };  // set ones only
  #onchange;

  // onchange(name): after a change that is valid.
  constructor(onchange) {
    this.#onchange = onchange;
    for (const rule of kNumbers) $("image-size-field").before(this.#numberField(rule));
    $("set-image_size").append(
      element("option", { value: "" }, texts.imageSizeDefault),
      ...kImageSizes.map((n) => element("option", { value: n }, texts.imageSizeOption(n))));
    $("set-theme").append(...kThemes.map((name) => element("option", { value: name }, texts[`theme${name[0].toUpperCase()}${name.slice(1)}`])));
    $("set-system").addEventListener("input", () => this.#set("system", $("set-system").value));
    $("set-image_size").addEventListener("change", () => this.#set("image_size", Number($("set-image_size").value) || undefined));
    $("set-theme").addEventListener("change", () => this.#set("theme", $("set-theme").value));
    $("set-keep").addEventListener("change", () => this.#onchange("keep"));
    $("set-key").value = this.key;
    $("set-key").addEventListener("change", () => this.setKey($("set-key").value));
    $("settings").addEventListener("click", (event) => {
      if (event.target === $("settings")) $("settings").close();  // beside the panel
    });
  }

  #numberField(rule) {
    const id = `set-${rule.name}`;
    const wrong = element("p", { class: "wrong", id: `wrong-${rule.name}`, role: "alert" });
    const input = element("input", {
      id, type: "number", inputmode: rule.integer ? "numeric" : "decimal", min: rule.least, max: rule.most, step: rule.step,
      "aria-describedby": `hint-${rule.name} wrong-${rule.name}`,
    });
    input.addEventListener("input", () => {
      const value = input.validity.badInput ? NaN : input.value === "" ? undefined : Number(input.value);
      const good = value === undefined || isValid(rule, value);
      input.setAttribute("aria-invalid", String(!good));
      wrong.textContent = good ? "" : (rule.integer ? texts.integerWanted : texts.numberWanted)(rule.least, rule.most);
      if (good) this.#set(rule.name, value);
    });
    return element("div", { class: "field" }, element("label", { for: id }, texts[rule.label]), input,
      element("p", { class: "hint", id: `hint-${rule.name}` }, texts[rule.hint]), wrong);
  }

  #set(name, value) {
    if (value === undefined) delete this.#values[name];
    else this.#values[name] = value;
    if (name === "theme") this.#showTheme();
    this.#onchange(name);
  }

  #showTheme() {
    const theme = this.#values.theme;
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
  }

  get system() {
    return this.#values.system.trim();
  }
  get all() {
    return { ...this.#values };
  }
  get keeps() {
    return $("set-keep").checked;
  }
  set keeps(value) {
    $("set-keep").checked = value;
  }

  // Fields of a request.
  get request() {
    const { system, theme, ...fields } = this.#values;
    return fields;
  }

  // Takes over what is valid of an imported or kept set; what is missing becomes the default.
  replace(values) {
    this.#values = { system: typeof values.system === "string" ? values.system : "" };
    for (const rule of kNumbers) if (isValid(rule, values[rule.name])) this.#values[rule.name] = values[rule.name];
    if (kImageSizes.includes(values.image_size)) this.#values.image_size = values.image_size;
    if (kThemes.includes(values.theme)) this.#values.theme = values.theme;
    for (const rule of kNumbers) {
      $(`set-${rule.name}`).value = this.#values[rule.name] ?? "";
      $(`set-${rule.name}`).setAttribute("aria-invalid", "false");
      $(`wrong-${rule.name}`).textContent = "";
    }
    $("set-system").value = this.#values.system;
    $("set-image_size").value = this.#values.image_size ?? "";
    $("set-theme").value = this.#values.theme ?? "system";
    this.#showTheme();
  }

  // Of /props.
  showDefaults({ temperature, top_p: topP, top_k: topK }, hasVision) {
    const show = (name, value) => ($(`set-${name}`).placeholder = value);
    const round = (x) => texts.byDefault(Number(Number(x).toFixed(3)));
    show("temperature", round(temperature));
    show("top_p", round(topP));
    show("top_k", round(topK));
    show("max_tokens", texts.noLimit);
    show("seed", texts.random);
    $("image-size-field").hidden = !hasVision;
  }

  // ---- the key: this tab's alone ----
  get key() {
    try {
      return sessionStorage.getItem(kKeyName) ?? "";
    } catch {
      return this.memoryKey ?? "";
    }
  }
  setKey(key) {
    const clean = key.replace(/[^\x21-\x7e]/g, "");  // what a header can hold
    $("set-key").value = clean;
    this.memoryKey = clean;
    try {
      if (clean) sessionStorage.setItem(kKeyName, clean);
      else sessionStorage.removeItem(kKeyName);
    } catch {
      // kept in memory alone
    }
    this.#onchange("key");
  }
}
