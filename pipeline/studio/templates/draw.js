const sheet = find("sheet"), dialog = find("one");
const AT_ONCE = 2; // images that are asked for at the same time, so that others are served meanwhile
const GAP = 4; // px around each image of a sheet that is downloaded
const KEPT = 200; // images that need not be asked for again
const kept = new Map(); // address that was asked -> { blob, address }
let turn = 0; // raised with every choice, so that an answer to an earlier one is not shown

const soon = rested(draw);
const manner = () => panel.querySelector(".manner:not([hidden])");
const many = () => Number(panel.querySelector("input[name=many]:checked").value);
const first = () => Math.min(Number(find("seed").max), Math.max(0, Math.trunc(Number(find("seed").value)) || 0));
const against = () => Boolean(chosen().dataset.challenger) && find("compare").checked;

// The codes that are set, as [name, value].
function codes() {
  const set = [];
  for (const one of manner()?.querySelectorAll("[data-code]") ?? []) {
    const value = one.matches(".chips") ? one.querySelector("input:checked").value
      : one.matches(".free") ? "" : one.querySelector("input").value;
    if (value !== "") set.push([one.dataset.code, value]);
  }
  return set;
}

// What is asked for, but for the seed.
function wish() {
  const asked = new URLSearchParams({ model: chosen().value + (against() ? "@challenger" : ""), format: "png" });
  const truncation = manner()?.querySelector(".truncation");
  if (truncation && truncation.value < 100) asked.set("truncation", truncation.value / 100);
  for (const [name, value] of codes()) asked.append("code", `${name}=${value}`);
  return asked;
}

async function image(asked, seed) {
  const path = `/api/generate?${asked}&seed=${seed}`;
  if (!kept.has(path)) {
    const blob = await ask(path, "");
    if (kept.size >= KEPT) {
      const oldest = kept.keys().next().value;
      if (!document.querySelector(`img[src="${kept.get(oldest).address}"]`)) URL.revokeObjectURL(kept.get(oldest).address);
      kept.delete(oldest);
    }
    kept.set(path, { blob, address: URL.createObjectURL(blob) });
  }
  return kept.get(path);
}

function lay(count, from) {
  sheet.style.setProperty("--columns", Math.sqrt(count));
  while (sheet.children.length > count) sheet.lastChild.remove();
  while (sheet.children.length < count) {
    const button = document.createElement("button"), picture = new Image();
    button.type = "button";
    button.className = "study";
    button.append(picture);
    button.addEventListener("click", () => enlarge(button));
    sheet.append(button);
  }
  [...sheet.children].forEach((button, place) => {
    button.dataset.seed = from + place;
    button.classList.add("waiting");
    button.disabled = true;
    button.setAttribute("aria-label", `Seed ${from + place}, larger`);
  });
}

async function draw() {
  clearTimeout(waiting);
  const model = chosen(), mine = ++turn;
  for (const one of panel.querySelectorAll(".manner")) one.hidden = one.dataset.of !== model.value;
  find("versus").hidden = !model.dataset.challenger;
  find("versus").querySelector("small").textContent = model.dataset.challenger ? `${model.dataset.challenger}, which waits for a decision` : "";
  const asked = wish(), count = many(), from = first();
  tell("");
  say(`${model.value} is drawing.`);
  find("download").disabled = true;
  lay(count, from);
  const label = against() ? `${model.dataset.challenger}, the challenger` : model.dataset.label;
  find("caption").textContent = `${label}: seeds ${from} to ${from + count - 1}`;
  sheet.setAttribute("aria-busy", "true");
  const rest = [...sheet.children];
  const work = async () => {
    for (let button = rest.shift(); button && mine === turn; button = rest.shift()) {
      const made = await image(asked, Number(button.dataset.seed));
      if (mine !== turn) return;
      const picture = button.firstChild;
      picture.src = made.address;
      picture.alt = "";
      await picture.decode();
      button.made = made;
      button.classList.remove("waiting");
      button.disabled = false;
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    if (mine !== turn) return;
    say(`${count} images were drawn by ${label}.`);
    find("download").disabled = false;
  } catch (error) {
    if (mine !== turn) return;
    turn++;
    tell(error.message);
    say("");
    for (const button of sheet.querySelectorAll(".waiting")) {
      button.classList.remove("waiting");
      button.firstChild.removeAttribute("src");
    }
  }
  sheet.removeAttribute("aria-busy");
}

// Puts the sheet as it stands into one picture, each image in its own size.
async function download() {
  const across = Math.sqrt(sheet.children.length), side = sheet.querySelector("img").naturalWidth;
  const canvas = document.createElement("canvas"), whole = across * (side + GAP) + GAP;
  canvas.width = canvas.height = whole;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, whole, whole);
  [...sheet.children].forEach((button, place) => {
    const [row, column] = [Math.floor(place / across), place % across];
    context.drawImage(button.firstChild, GAP + column * (side + GAP), GAP + row * (side + GAP));
  });
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  hand(blob, `${named()}-seeds-${sheet.firstChild.dataset.seed}-${sheet.lastChild.dataset.seed}.png`);
}

const named = () => [chosen().value + (against() ? "-challenger" : ""), ...codes().map((one) => one.join("="))].join("-");

let shown = null; // the image that is seen enlarged
function enlarge(button) {
  shown = button;
  find("large").src = button.firstChild.src;
  find("large").alt = find("which").textContent = `Seed ${button.dataset.seed}`;
  find("how").textContent = [find("caption").textContent.split(":")[0], ...codes().map((one) => one.join(" = "))].join(", ");
  find("before").disabled = !button.previousElementSibling;
  find("after").disabled = !button.nextElementSibling;
  if (!dialog.open) dialog.showModal();
}
function step(way) {
  const to = way < 0 ? shown.previousElementSibling : shown.nextElementSibling;
  if (to && !to.disabled) enlarge(to);
}
find("before").addEventListener("click", () => step(-1));
find("after").addEventListener("click", () => step(1));
find("close").addEventListener("click", () => dialog.close());
find("save").addEventListener("click", () => hand(shown.made.blob, `${named()}-seed-${shown.dataset.seed}.png`));
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") step(event.key === "ArrowLeft" ? -1 : 1);
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => shown?.focus());

find("seed").addEventListener("input", soon);
function begin(seed) {
  find("seed").value = Math.min(seed, Number(find("seed").max));
  draw();
}
find("next").addEventListener("click", () => begin(first() + many()));
find("chance").addEventListener("click", () => begin(Math.floor(Math.random() * 1e6)));
for (const one of panel.querySelectorAll(".truncation")) {
  one.addEventListener("input", () => {
    const words = { 0: "the average image", 100: "as it was trained" }[one.value] ?? `${one.value} %`;
    one.parentElement.querySelector("output").textContent = words;
    one.setAttribute("aria-valuetext", words);
    soon();
  });
}
for (const one of panel.querySelectorAll(".number")) {
  const input = one.querySelector("input"), free = one.querySelector("button");
  const set = (words, isFree) => {
    one.classList.toggle("free", isFree);
    one.querySelector("output").textContent = words;
    input.setAttribute("aria-valuetext", words);
    free.hidden = isFree;
    soon();
  };
  input.addEventListener("input", () => set(input.value, false));
  free.addEventListener("click", () => { input.value = 0; set("the seed’s own", true); input.focus(); });
}
for (const one of panel.querySelectorAll("input[type=radio], #compare")) one.addEventListener("change", draw);
panel.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!find("download").disabled) download();
});

follow("model");
draw();
