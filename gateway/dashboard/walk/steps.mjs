// What the owner of a box does, in this order.

export function steps({w, home, password}) {
  const box = (path) => new URL(path, w.box).href;

  // call asks the API as who is logged in in a browser.
  const call = async (context, method, path, data) => {
    const answer = await context.request.fetch(box(path), {method, data, headers: data === undefined ? {} : {"Content-Type": "application/json"}});
    const text = await answer.text();
    return {status: answer.status(), body: text ? JSON.parse(text) : undefined};
  };

  // until waits for what the API tells.
  const until = async (what, path, wanted) => {
    for (const late = Date.now() + 60_000; Date.now() < late;) {
      const {status, body} = await call(w.context, "GET", path).catch(() => ({})); // it may be restarting
      if (status === 200) {
        const found = wanted(body);
        if (found) return found;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`waited in vain for ${what}`);
  };

  const login = async (page, user, secret) => {
    await page.goto(box("/login"));
    await page.fill("#user", user);
    await page.fill("#password", secret);
    await page.click("main form[action='/login'] button");
    await page.waitForURL((url) => url.pathname === "/");
  };

  // The devices of the simulated house, and what its people call them. The plug is named on its page.
  const plug = "0xb43522fffe77a001";
  const names = {
    "0x00124b0022e10001": "Living room", "0x00178801061a2b3c": "Hall lamp", "0x842e14fffe77000a": "Bathroom radiator",
    "0x680ae2fffe77000b": "Bedroom blind", "0x000d6f000177000c": "Front door",
  };

  return {
    async "a new box shows nothing but the claim"(page) {
      await w.go("/");
      await page.waitForURL("**/claim");
      await w.look("claim");
    },

    async "claim it"(page) {
      await page.fill("#password", password);
      await page.fill("#again", password);
      await page.fill("#name", "Cellar");
      await page.click("main form[action='/claim'] button");
      await page.locator("form[action='/claim']").waitFor({state: "detached"});
      await w.look("claimed");
    },

    async "log in, and out again"(page) {
      await page.click("form[action='/logout'] button");
      await page.waitForURL("**/login");
      await w.look("login");
      await login(page, "admin", password);
    },

    async "be guided through the first visit"(page) {
      await w.go("/welcome");
      await page.locator("#step-sticks .state.ok").waitFor();
      await w.look("welcome");
      await page.locator("#step-name input[name=name]").fill("Our house");
      await page.click("#step-name form[action='/welcome/name'] button");
      await page.locator("#step-name .state.ok").waitFor();
    },

    async "connect Home Assistant"(page) {
      w.expected.push(/favicon\.ico/); // that one has none
      await w.go("/homeassistant");
      await page.fill("#address", home);
      await page.click("form:has(#address) button");
      await page.locator("#login").waitFor(); // Home Assistant's own page
      await page.click("button");
      await page.waitForURL(box("/homeassistant"));
      await page.getByText("homeassistant", {exact: true}).first().waitFor();
      await w.look("homeassistant-connected");
    },

    async "let a Zigbee device join, and see how it is asked what it is"(page) {
      await w.go("/welcome");
      const open = page.locator("form[action='/welcome/join'] button");
      await open.click();
      await page.locator("#step-device [role=status], #step-devices [role=status], progress[aria-label]").first().waitFor();
      await until("the plug", "/api/zigbee/devices", ({devices}) => devices.some((d) => d.ieee_address === plug && d.interview_state === "SUCCESSFUL"));
      await w.go("/zigbee-devices");
      await page.getByText(plug).first().waitFor();
    },

    async "rename it"(page) {
      await w.go(`/devices/${plug}`);
      await w.look("device");
      await page.fill("#name", "Kettle");
      await page.click("form[action$='/change'] button");
      await page.getByRole("heading", {name: "Kettle"}).first().waitFor();
      const {body} = await call(w.context, "GET", "/api/zigbee/devices");
      if (!body.devices.some((d) => d.ieee_address === plug && d.friendly_name === "Kettle")) throw new Error("the network does not know the new name");
    },

    async "name the others"() {
      for (const [ieee, name] of Object.entries(names)) {
        await until(name, "/api/zigbee/devices", ({devices}) => devices.some((d) => d.ieee_address === ieee && d.interview_state === "SUCCESSFUL"));
        const {status} = await call(w.context, "PATCH", `/api/devices/${ieee}`, {name});
        if (status >= 300) throw new Error(`${name} cannot be named: ${status}`);
      }
    },

    async "switch it on and see that it is"(page) {
      await w.go(`/devices/${plug}`);
      const on = page.locator("#device-properties button[value=on]").first();
      await on.click();
      await page.locator("#device-properties button[value=on][aria-pressed=true]").first().waitFor();
    },

    async "subscribe and publish in the page"(page) {
      await w.go("/publish");
      await page.fill("#filter", "garden/#");
      await page.click("#subscribe button");
      await page.locator("#subscriptions").getByText("garden/#").first().waitFor();
      await page.fill("#topic", "garden/pond");
      await page.fill("#payload", "12 cm");
      await page.check("#publish input[name=retain]");
      await page.click("#publish > button");
      await page.locator("#messages").getByText("12 cm").first().waitFor();
      await w.look("published");
    },

    async "see the topic in the tree"(page) {
      await w.go("/topics");
      await page.getByText("garden").first().waitFor();
      await w.look("topics-tree");
    },

    async "follow a message from the radio to its receivers"(page) {
      await w.go(`/journey?device=${plug}`);
      await page.locator("body:not(.stale)").waitFor();
      const shown = page.locator("#journey-list article").first();
      for (let on = false; !await shown.isVisible(); on = !on) { // what came before the page listened is not followed
        await call(w.context, "POST", `/api/devices/${plug}/set`, {key: "state", value: on ? "ON" : "OFF"});
        await shown.waitFor({timeout: 5_000}).catch(() => {});
      }
      await w.look("journey-of-a-device");
    },

    async "be told why somebody was refused, and allow it"(page) {
      const {status} = await call(w.context, "POST", "/api/users", {name: "lena", password: "another good password", page: "operator"});
      if (status >= 300) throw new Error(`lena cannot be made: ${status}`);
      const other = await w.browser.newContext({locale: "en-GB"});
      const theirs = await other.newPage();
      await login(theirs, "lena", "another good password");
      await theirs.goto(box("/publish"));
      await theirs.locator("#live:not([hidden])").waitFor();
      await theirs.fill("#topic", "garden/pump/set");
      await theirs.selectOption("#qos", "1");
      await theirs.fill("#payload", "ON");
      await theirs.click("#publish > button");
      await w.go("/access"); // which changes by itself
      await page.locator("#access-denials tr", {hasText: "garden/pump/set"}).getByRole("link", {name: "Explain"}).first().click();
      await page.locator(".verdict").getByText("denied").waitFor();
      await w.look("explained");
      await page.click("form[action='/access/allow'] button");
      await page.waitForLoadState();
      const allowed = await call(other, "POST", "/api/publish", {topic: "garden/pump/set", payload: "ON"});
      if (allowed.status >= 300) throw new Error(`lena may not publish yet: ${allowed.status}`);
      await other.close();
    },

    async "trace a topic"(page) {
      await w.go("/trace");
      await page.fill("input[name=topic]", "garden/#");
      await page.click("main form:has(input[name=topic]) button");
      await page.locator("#trace-events").waitFor();
      await call(w.context, "POST", "/api/publish", {topic: "garden/pump/set", payload: "OFF"});
      await page.locator("#trace-events").getByText("garden/pump/set").first().waitFor();
      await w.look("traced");
    },

    async "every page, on a desktop and on a phone"() {
      const paths = await w.paths();
      await w.everywhere([...paths, "/welcome", `/devices/${plug}`]);
    },

    async "speak German"(page) {
      await w.go("/devices");
      await page.selectOption("#language", "de");
      await page.getByRole("heading", {name: "Geräte", exact: true}).waitFor();
      await w.look("devices-german");
      await page.selectOption("#language", "en");
      await page.getByRole("heading", {name: "Devices", exact: true}).waitFor();
    },

    async "make a backup"(page) {
      await w.go("/backup");
      await page.locator("form[action='/backup'] input[name=passphrase]").fill("a passphrase of four words");
      await page.locator("form[action='/backup'] input[name=again]").fill("a passphrase of four words");
      const [download] = await Promise.all([page.waitForEvent("download"), page.locator("form[action='/backup'] button").click()]);
      await download.saveAs(`${w.out}/backup.lintel`);
    },

    async "restore it, which undoes what was done since"(page) {
      const {status} = await call(w.context, "PATCH", `/api/devices/${plug}`, {name: "Boiler"});
      if (status >= 300) throw new Error(`the plug cannot be renamed: ${status}`);
      await w.go("/backup");
      const form = page.locator("form[action='/backup/restore']");
      await form.locator("input[name=passphrase]").fill("a passphrase of four words");
      await form.locator("input[type=file]").setInputFiles(`${w.out}/backup.lintel`);
      w.expected.push(/ERR_CONNECTION|Failed to load resource|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE|ERR_SOCKET/); // the box restarts
      await form.locator("button").click();
      const dialog = page.locator("dialog button[value=yes]");
      if (await dialog.isVisible({timeout: 2000}).catch(() => false)) await dialog.click();
      await until("the box with its backup", "/api/zigbee/devices", ({devices}) => devices.some((d) => d.friendly_name === "Kettle")).catch(async () => {
        await login(page, "admin", password); // its sessions are those of the backup
        await until("the box with its backup", "/api/zigbee/devices", ({devices}) => devices.some((d) => d.friendly_name === "Kettle"));
      });
    },

    async "install an update"(page) {
      await w.go("/update");
      await page.click("form[action='/update/check'] button");
      await page.locator("form[action='/update/install'] button").click();
      await until("the trial", "/api/update", (s) => s.version === "1.1" && s.phase === "trial");
      await w.go("/update");
      await w.look("update-trial");
      await until("version 1.1", "/api/update", (s) => s.version === "1.1" && s.phase === "idle");
      await w.go("/update");
      await w.look("updated");
      w.expected = [];
    },
  };
}
