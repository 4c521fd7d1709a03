// Pictures of the page for docs/page (tools/test_page.sh screenshots).
import { mkdirSync } from "node:fs";
import * as b from "./browser.mjs";

const out = `${b.root}docs/page/`;
mkdirSync(out, { recursive: true });

async function picture(name, options, act) {
  const page = await b.openPage({ viewport: { width: 960, height: 640 }, ...options });
  await act(page);
  await page.mouse.move(0, 0);
  await page.waitForTimeout(300);
  await page.screenshot({ path: `${out}${name}.png` });
  await page.context().close();
}

const attach = async (page, ...files) => {
  const before = await page.locator(".attachment").count();
  await page.setInputFiles("#files", files);
  await page.locator(".attachment").nth(before + files.length - 1).waitFor();
};
const calm = { temperature: 0 };

await picture("empty", {}, async () => {});
await picture("answered", {}, async (page) => {
  await b.set(page, calm);
  await attach(page, b.demo("star-and-square.png"));
  await b.send(page, "What color is the star?");
  await attach(page, b.demo("ring-over-cross.png"), b.demo("colors.wav"));
  await b.type(page, "List the shapes as JSON.");
});
await picture("error", {}, async (page) => {
  await attach(page, { name: "holiday.png", mimeType: "image/png", buffer: Buffer.from("not a picture at all") });
  await b.type(page, "What is in this picture?");
  await page.locator("#message").press("Enter");
  await page.locator(".problem:visible").waitFor();
});
await picture("dark", { colorScheme: "dark" }, async (page) => {
  await b.set(page, calm);
  await attach(page, b.demo("ring-over-cross.png"));
  await b.send(page, "List the shapes as JSON.");
});
await picture("small", { viewport: { width: 320, height: 640 } }, async (page) => {
  await b.set(page, calm);
  await attach(page, b.demo("red-circle.png"));
  await b.send(page, "Describe the image.");
});
await b.closeAll();
