"use strict";
// This script is in the head, so that the page never shows the wrong colours.
const theme = {
  stored() {
    try { return localStorage.getItem("nas-report-theme"); } catch { return null; }
  },
  system: matchMedia("(prefers-color-scheme: dark)"),
  get current() { return document.documentElement.dataset.theme; },
  show(name) { document.documentElement.dataset.theme = name; },
  start() { this.show(this.stored() ?? (this.system.matches ? "dark" : "light")); },
  flip() {
    this.show(this.current === "dark" ? "light" : "dark");
    try { localStorage.setItem("nas-report-theme", this.current); } catch { /* a private window */ }
  },
};
theme.start();
