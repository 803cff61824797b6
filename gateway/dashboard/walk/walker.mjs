// A browser, and what is asked of every page: no error in its console, nothing serious for
// axe-core, nothing wider than the screen.

import {readFileSync, mkdirSync} from "node:fs";
import {createRequire} from "node:module";
import {chromium} from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const sizes = {
  desktop: {viewport: {width: 1280, height: 900}},
  phone: {colorScheme: "dark", viewport: {width: 360, height: 740}, isMobile: true, hasTouch: true, deviceScaleFactor: 2},
};

export class Walker {
  constructor(box, out) {
    this.box = box; // its URL
    this.out = out; // folder of the screenshots
    this.wrong = []; // what is wrong, in words
    this.seen = new Set(); // the pages that were looked at
    this.expected = []; // patterns of errors that are to come
    mkdirSync(out, {recursive: true});
  }

  async open(executablePath) {
    this.browser = await chromium.launch({executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage",
      "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost"]});
    this.context = await this.browser.newContext({...sizes.desktop, locale: "en-GB"});
    this.page = await this.context.newPage();
    this.watch(this.page);
    return this;
  }

  // watch notes whatever a page complains of.
  watch(page) {
    const note = (what) => {
      if (!this.expected.some((pattern) => pattern.test(what))) this.wrong.push(`${page.url()}: ${what}`);
    };
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") note(`console: ${message.text()} ${message.location().url}`);
    });
    page.on("pageerror", (error) => note(`error: ${error.message}`));
    page.on("requestfailed", (request) => {
      // What a page that is left was still loading, its live events above all, fails.
      const reason = request.failure()?.errorText ?? "";
      if (reason !== "net::ERR_ABORTED" && reason !== "net::ERR_NETWORK_CHANGED") note(`request: ${request.url()} ${reason}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) note(`${response.request().method()} ${response.url()}: ${response.status()}`);
    });
  }

  async go(path) {
    await this.page.goto(new URL(path, this.box).href, {waitUntil: "load"});
    return this.page;
  }

  // look judges the page that is open and keeps a picture of it.
  async look(name, page = this.page) {
    const size = page.viewportSize().width < 500 ? "phone" : "desktop";
    this.seen.add(new URL(page.url()).pathname);
    await page.screenshot({path: `${this.out}/${size}-${name}.png`, fullPage: true});
    await page.evaluate(axe);
    const {violations} = await page.evaluate(() => window.axe.run(document, {resultTypes: ["violations"]}));
    for (const v of violations.filter((v) => v.impact === "serious" || v.impact === "critical")) {
      for (const node of v.nodes.slice(0, 3)) {
        this.wrong.push(`${size} ${page.url()}: ${v.impact}: ${v.help}: ${node.html.slice(0, 200)}: ${node.failureSummary?.split("\n").slice(1, 3).join(" ")}`);
      }
    }
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - window.innerWidth);
    if (wide > 0) {
      const who = await page.evaluate(() => [...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > window.innerWidth + 1 && !e.closest(".scroll"))
        .slice(0, 3).map((e) => e.outerHTML.slice(0, 120)));
      this.wrong.push(`${size} ${page.url()}: ${wide} pixels wider than the screen: ${who.join(" | ")}`);
    }
    const heading = await page.locator("h1").count();
    if (heading !== 1) this.wrong.push(`${size} ${page.url()}: ${heading} headings of the first level`);
  }

  // paths are the pages that the navigation leads to.
  async paths() {
    await this.go("/");
    const paths = new Set(["/"]);
    for (const section of await this.hrefs("nav > ul:first-child a")) {
      await this.go(section);
      for (const path of await this.hrefs("nav a")) paths.add(path);
    }
    return [...paths];
  }

  async hrefs(selector) {
    return this.page.$$eval(selector, (links) => [...new Set(links.map((a) => a.getAttribute("href")))]);
  }

  // everywhere goes to pages in both sizes.
  async everywhere(paths) {
    for (const [size, how] of Object.entries(sizes)) {
      const context = await this.browser.newContext({...how, storageState: await this.context.storageState(), locale: "en-GB"});
      const page = await context.newPage();
      this.watch(page);
      for (const path of paths) {
        await page.goto(new URL(path, this.box).href, {waitUntil: "load"});
        await this.look(path === "/" ? "home" : path.slice(1).replaceAll(/[^a-z0-9]+/gi, "-"), page);
      }
      await context.close();
      console.log(`${size}: ${paths.length} pages`);
    }
  }

  // step does something that a person wants, says so, and whether it could be done.
  async step(name, does) {
    const before = this.wrong.length;
    let done = true;
    try {
      await does(this.page);
    } catch (error) {
      done = false;
      await this.page.screenshot({path: `${this.out}/failed-${name.replaceAll(/[^a-z0-9]+/gi, "-")}.png`, fullPage: true}).catch(() => {});
      const text = await this.page.locator("main").innerText().catch(() => "");
      this.wrong.push(`${name}: ${error.message.split("\n").slice(0, 6).join(" ")}; at ${this.page.url()}: ${text.slice(0, 600)}`);
    }
    console.log(`${this.wrong.length === before ? "ok  " : "BAD "} ${name}`);
    return done;
  }

  async end() {
    await this.browser.close();
    for (const what of this.wrong) console.log(`WRONG ${what}`);
    return this.wrong.length;
  }
}
