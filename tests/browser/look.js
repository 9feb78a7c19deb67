// Looks at the page as it is drawn, and returns what is wrong: a list of texts. Nothing of the page is changed.
// arguments[0]: selector of what is somebody else's business (a theme's own furniture), or empty.
const theirs = arguments[0];
const problems = [];
const root = document.documentElement;
const say = (text, element) => problems.push(`${text}: ${where(element)}`);

function where(element) {
  const classes = typeof element.className === "string" ? element.className : (element.className || {}).baseVal || "";
  const name = element.tagName.toLowerCase() + (element.id ? `#${element.id}` : "") + classes.split(" ").filter(Boolean).map((c) => `.${c}`).join("");
  const text = (element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 60);
  return text ? `${name} "${text}"` : name;
}

function shown(element) {
  if (typeof element.checkVisibility === "function" && !element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) return false;
  const box = element.getBoundingClientRect();
  // what is kept for screen readers alone is clipped to a pixel
  return !(box.width <= 1 && box.height <= 1 && getComputedStyle(element).position === "absolute");
}

function scrolls(element) {
  // a box that scrolls by itself, or cuts off on purpose, and everything in it
  for (let each = element; each && each !== root; each = each.parentElement) {
    const style = getComputedStyle(each);
    if (["auto", "scroll", "hidden", "clip"].includes(style.overflowX) && each !== document.body) return true;
    if (style.position === "fixed") return true;
  }
  return false;
}

const width = root.clientWidth;
if (root.scrollWidth > width) say(`the page is ${root.scrollWidth} px wide in a window of ${width}`, root);

for (const element of document.body.querySelectorAll("*")) {
  if (!shown(element) || (theirs && element.closest(theirs))) continue;
  const inside = element.closest("svg");
  const box = element.getBoundingClientRect();
  if (!inside && !scrolls(element)) {
    if (box.right > width + 1) say(`reaches ${Math.round(box.right - width)} px over the right edge`, element);
    if (box.left < -1) say("begins left of the page", element);
    if (element.clientWidth > 0 && element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== "inline")
      say(`holds ${element.scrollWidth - element.clientWidth} px more than its width`, element);
  }
  if (inside && inside !== element && element.tagName !== "title" && box.width > 0) {
    const frame = inside.getBoundingClientRect();
    if (box.right > frame.right + 1.5 || box.left < frame.left - 1.5 || box.bottom > frame.bottom + 1.5 || box.top < frame.top - 1.5)
      say("is drawn over the edge of its picture", element);
  }
  if (element.tagName === "text") {
    const size = box.height;
    if (size > 0 && size < 8) say(`is ${size.toFixed(1)} px high, too small to read`, element);
    const rect = element.parentElement.querySelector("rect");
    if (rect && element.parentElement.tagName === "g" && box.right > rect.getBoundingClientRect().right + 1) say("is wider than its box", element);
  }
}

const empty = (element) => !(element.textContent || "").trim() && !element.querySelector("img, svg, input");
for (const element of document.querySelectorAll("main section, article section, main figure, article figure")) {
  if (shown(element) && (empty(element) || element.getBoundingClientRect().height < 10)) say("is empty", element);
}
for (const table of document.querySelectorAll("table")) if (shown(table) && !table.querySelector("td")) say("has no cell", table);
for (const picture of document.querySelectorAll("svg")) {
  if (!shown(picture)) continue;
  const box = picture.getBoundingClientRect();
  if (box.width < 2 || box.height < 2) say("is a picture of no size", picture);
  if (!picture.querySelector("path, rect, circle, text, line, polygon, image, use")) say("is a picture with nothing in it", picture);
}
for (const image of document.images) if (shown(image) && !image.naturalWidth) say("is an image that did not load", image);

// contrast of text that stands on a plain background: 4.5 to 1 (WCAG 2, AA), 3 to 1 where it is large
const rgb = (colour) => { const found = colour.match(/[\d.]+/g); return found ? found.map(Number) : [0, 0, 0, 0]; };
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
function plain(colour) {
  if (/^rgba?\(/.test(colour)) { const [r, g, b, a = 1] = rgb(colour); return [r, g, b, a]; }
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
}
const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
function background(element) {
  const layers = [];
  for (let each = element; each; each = each.parentElement) {
    const style = getComputedStyle(each);
    if (style.backgroundImage !== "none") return null;
    const colour = plain(style.backgroundColor);
    if (colour[3] > 0) layers.push(colour);
    if (colour[3] === 1) break;
  }
  return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
}
const light = (colour) => { const [r, g, b] = colour.map((c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const told = new Set();
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !element || element.closest("svg, script, style") || !shown(element)) continue;
  const style = getComputedStyle(element), under = background(element);
  if (!under) continue;
  let opacity = 1;
  for (let each = element; each; each = each.parentElement) opacity *= Number(getComputedStyle(each).opacity);
  const ink = plain(style.color); ink[3] *= opacity;
  const [a, b] = [light(over(ink, under)), light(under)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05), size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  if (ratio < (large ? 3 : 4.5) - 0.05) {
    const key = `${style.color} on ${under.map(Math.round)}`;
    if (!told.has(key)) say(`has a contrast of ${ratio.toFixed(2)} (${key})`, element);
    told.add(key);
  }
}
return problems;
