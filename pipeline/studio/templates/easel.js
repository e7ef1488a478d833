const works = { champion: find("champion"), challenger: find("challenger") };
const file = find("file");
const VIEW = 1600; // px: as much as a screen shows; the download is painted from the photograph itself
let photo = null; // what was chosen: { blob, name, view, address, shown: Map of what was painted of it }
let own = []; // references of one's own: { blob, name, address }
let turn = 0; // raised with every choice, so that an answer to an earlier one is not shown

const soon = rested(paint);

const refers = () => Boolean(chosen().dataset.refers); // after references: a model of many styles
const named = (place) => chosen().value + (place === "champion" ? "" : "@challenger");
const manner = () => panel.querySelector(".manner:not([hidden]) .styles input:checked").value;
const scale = () => 2 ** (find("brush").value / 2);
const strength = () => find("strength").value / 100;

// What is asked of the champion or the challenger for a picture: an address, a body, and a name for both together.
function wish(place, picture, more = {}) {
  const asked = { model: named(place), preserve_color: find("keep").checked, scale: scale().toFixed(3), ...more };
  if (!refers()) return { path: `/api/stylize?${new URLSearchParams(asked)}`, body: picture, with: "" };
  asked.strength = strength(); // of the style, in the network: it is no mixture of pictures
  const style = manner();
  if (style) return { path: `/api/stylize?${new URLSearchParams({ ...asked, style })}`, body: picture, with: "" };
  const body = new FormData();
  body.append("picture", picture);
  for (const one of own) body.append("reference", one.blob);
  return { path: `/api/stylize?${new URLSearchParams(asked)}`, body, with: own.map((one) => one.address).join() };
}

async function take(blob, name) {
  const mine = ++turn;
  tell("");
  say("The photograph is being opened.");
  document.body.classList.add("busy");
  try {
    const view = await ask(`/api/view?max_side=${VIEW}`, blob);
    if (mine !== turn) return;
    const address = URL.createObjectURL(view), image = new Image();
    image.src = address;
    await image.decode();
    forget();
    photo = { blob, name, view, address, shown: new Map() };
    find("hang").style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
    for (const work of Object.values(works)) {
      const before = work.querySelector(".before");
      before.src = address;
      before.alt = `The photograph ${name}`;
    }
    find("drop").hidden = true;
    find("hang").hidden = find("another").hidden = false;
    works.champion.querySelector("input").focus({ preventScroll: true });
    scrollTo({ top: 0 });
    await paint();
  } catch (error) {
    if (mine === turn) tell(error.message), say("");
  } finally {
    document.body.classList.remove("busy");
  }
}

function forget() {
  if (!photo) return;
  URL.revokeObjectURL(photo.address);
  for (const address of photo.shown.values()) URL.revokeObjectURL(address);
  photo = null;
}

async function paint() {
  const style = chosen(), other = style.dataset.challenger;
  const two = Boolean(other && find("compare").checked);
  find("versus").hidden = !other;
  find("versus").querySelector("small").textContent = other ? `${other}, which waits for a decision` : "";
  works.challenger.hidden = find("second").hidden = !two;
  for (const one of panel.querySelectorAll(".manner")) one.hidden = one.dataset.of !== style.value;
  find("hang").classList.toggle("whole", refers());
  find("hang").classList.toggle("two", two);
  for (const [place, label] of [["champion", style.dataset.label], ["challenger", other ?? ""]]) {
    const caption = works[place].querySelector("figcaption");
    caption.textContent = label;
    if (two) caption.append(place === "champion" ? ", the champion" : ", the challenger");
  }
  if (!photo) return;
  const mine = ++turn;
  tell("");
  say(`${style.value} is painting.`);
  const done = await Promise.allSettled((two ? ["champion", "challenger"] : ["champion"]).map((one) => show(one, mine)));
  if (mine !== turn) return;
  const failed = done.find((one) => one.status === "rejected");
  if (failed) tell(failed.reason.message);
  say(failed ? "" : `Painted by ${style.dataset.label}.`);
  find("download").disabled = find("second").disabled = Boolean(failed);
}

async function show(place, mine) {
  const work = works[place], wanted = wish(place, photo.view), asked = wanted.path + wanted.with;
  const painting = work.querySelector(".after"), model = named(place);
  work.classList.remove("hung");
  if (!photo.shown.has(asked)) {
    work.classList.add("painting");
    work.setAttribute("aria-busy", "true");
    const of = photo;
    try {
      of.shown.set(asked, URL.createObjectURL(await ask(wanted.path, wanted.body)));
    } finally {
      if (mine === turn) work.classList.remove("painting"), work.removeAttribute("aria-busy");
    }
  }
  if (mine !== turn) return;
  work.classList.remove("painting");
  work.removeAttribute("aria-busy");
  painting.src = photo.shown.get(asked);
  painting.alt = `Painted by ${model}`;
  await painting.decode();
  if (mine === turn) work.classList.add("hung");
}

async function download(place, button) {
  const model = named(place), words = button.textContent;
  button.disabled = true;
  button.textContent = "painting at full size …";
  tell("");
  say("The photograph is painted at full size.");
  try {
    const format = find("format").value;
    const wanted = wish(place, photo.blob, { strength: strength(), format });
    const painting = await ask(wanted.path, wanted.body);
    hand(painting, `${photo.name.replace(/\.[^.]*$/, "")}-${model.replace("@", "-")}.${format.replace("jpeg", "jpg")}`);
  } catch (error) {
    tell(error.message);
    say("");
  }
  button.disabled = false;
  button.textContent = words;
}

// References are seen by the server first, so that one which cannot be read is told at once, and sent small.
async function refer(files, input) {
  if (!files.length) return;
  tell("");
  const most = Number(input.dataset.most);
  if (files.length > most) return tell(`At most ${most} pictures can be mixed; choose fewer.`);
  say("The references are being opened.");
  try {
    const blobs = await Promise.all(files.map((one) => ask("/api/view?max_side=1024", one)));
    for (const one of own) URL.revokeObjectURL(one.address);
    own = blobs.map((blob, place) => ({ blob, name: files[place].name, address: URL.createObjectURL(blob) }));
  } catch (error) {
    say("");
    return tell(error.message);
  }
  for (const tile of panel.querySelectorAll(".own")) {
    tile.hidden = false;
    tile.querySelector(".given").replaceChildren(...own.map((one) => {
      const image = new Image();
      image.src = one.address;
      image.alt = "";
      return image;
    }));
    tile.querySelector(".told").textContent = own.length > 1 ? `${own.length} of your own` : own[0].name;
    tile.querySelector("input").checked = true;
  }
  await paint();
}

// Both sliders move as one, so that the same place is compared.
function slide(value) {
  for (const work of Object.values(works)) {
    const slider = work.querySelector(".slider"), input = slider.querySelector("input");
    input.value = value;
    slider.style.setProperty("--at", input.value);
    slider.classList.toggle("all-left", input.value > 90);
    slider.classList.toggle("all-right", input.value < 10);
    input.setAttribute("aria-valuetext", `${input.value} % photograph`);
  }
}

for (const [place, work] of Object.entries(works)) {
  const slider = work.querySelector(".slider"), input = slider.querySelector("input");
  input.setAttribute("aria-label", `How much of the photograph to show beside the ${place}’s painting, in percent`);
  const follow = (event) => {
    const box = slider.getBoundingClientRect();
    slide(100 * (event.clientX - box.left) / box.width);
  };
  input.addEventListener("input", () => slide(input.value));
  slider.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    slider.setPointerCapture(event.pointerId);
    input.focus({ preventScroll: true });
    follow(event);
  });
  slider.addEventListener("pointermove", (event) => { if (slider.hasPointerCapture(event.pointerId)) follow(event); });
}

find("strength").addEventListener("input", () => {
  find("strong").textContent = `${find("strength").value} %`;
  find("hang").style.setProperty("--strength", strength());
  if (refers()) soon();
});
find("brush").addEventListener("input", () => {
  const words = { "-2": "twice as wide", "-1": "wider", 0: "as in the artworks", 1: "finer", 2: "half as wide",
    3: "finer still", 4: "a quarter as wide" }[find("brush").value];
  find("brushed").textContent = words;
  find("brush").setAttribute("aria-valuetext", words);
  soon();
});
for (const id of ["keep", "compare"]) find(id).addEventListener("change", paint);
for (const radio of panel.querySelectorAll("input[name=model]")) radio.addEventListener("change", paint);
for (const radio of panel.querySelectorAll(".manner .styles input")) radio.addEventListener("change", paint);
for (const input of panel.querySelectorAll(".references")) {
  input.addEventListener("change", () => { refer([...input.files], input); input.value = ""; });
}
panel.addEventListener("submit", (event) => {
  event.preventDefault();
  if (photo) download("champion", find("download"));
});
find("second").addEventListener("click", () => download("challenger", find("second")));

function choose(blob) { if (blob) take(blob, blob.name || "picture"); }
file.addEventListener("change", () => { choose(file.files[0]); file.value = ""; });
find("another").addEventListener("click", () => {
  turn++;
  forget();
  tell("");
  find("hang").hidden = find("another").hidden = find("second").hidden = true;
  find("drop").hidden = false;
  find("download").disabled = true;
  file.focus();
});
for (const button of document.querySelectorAll("[data-sample]")) {
  button.addEventListener("click", async () => {
    tell("");
    say("The sample is being fetched.");
    document.body.classList.add("busy");
    try {
      const answer = await fetch(`/samples/${button.dataset.sample}/full.jpg`);
      if (!answer.ok) throw new Error();
      take(await answer.blob(), `${button.dataset.title}.jpg`);
    } catch {
      document.body.classList.remove("busy");
      say("");
      tell("The sample could not be fetched; reload the page.");
    }
  });
}
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) document.body.classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  if (event.dataTransfer.files.length) choose(event.dataTransfer.files[0]);
  else tell("That was no file. Save the picture first, then drop the file here.");
});
addEventListener("paste", (event) => choose(event.clipboardData?.files[0]));

follow("style");
slide(50);
paint();
