// What the owner of a box does, in this order.

export function steps({w, home, password}) {
  return {
    async "a new box shows nothing but the claim"(page) {
      await w.go("/");
      await page.waitForURL("**/claim");
      await w.look("claim");
    },

    async "claim it"(page) {
      await page.fill("#password", password);
      await page.fill("#again", password);
      await page.fill("#name", "Walk");
      await page.click("main form[action='/claim'] button");
      await page.locator("form[action='/claim']").waitFor({state: "detached"});
      await w.look("claimed");
    },

    async "log in"(page) {
      await w.go("/login?next=/");
      if (new URL(page.url()).pathname === "/login") {
        await w.look("login");
        await page.fill("#user", "admin");
        await page.fill("#password", password);
        await page.click("main form[action='/login'] button");
        await page.waitForURL((url) => url.pathname === "/");
      }
    },

    async "every page, on a desktop and on a phone"() {
      await w.everywhere(await w.paths());
    },
  };
}
