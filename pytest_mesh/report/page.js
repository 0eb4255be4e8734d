"use strict";
const byId = (id) => document.getElementById(id);
const checks = [...document.querySelectorAll(".check")];
function narrow() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const verdict = byId("verdict").value;
  const profile = byId("profile").value;
  let found = 0;
  for (const check of checks) {
    const text = check.textContent.toLowerCase();
    const fits = words.every((word) => text.includes(word)) && (!verdict || check.dataset.verdict === verdict)
      && (!profile || check.dataset.profile === profile);
    check.hidden = !fits;
    found += fits;
  }
  byId("found").textContent = `${found} checks`;
}
byId("filter").addEventListener("input", narrow);
byId("filter").addEventListener("submit", (event) => event.preventDefault());
function follow() {
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  if (target && target.classList.contains("check")) {
    target.hidden = false;
    target.open = true;
    target.querySelector("summary").focus();
  }
}
addEventListener("hashchange", follow);
follow();
