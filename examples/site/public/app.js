const who = document.querySelector("#who");

async function show() {
  const session = await fetch("/api/session");
  who.textContent = session.ok ? `You are ${(await session.json()).name}.` : "Nobody is logged in.";
  const flags = await (await fetch("/api/flags")).json();
  const lines = Object.entries(flags).map(([name, percent]) => {
    const line = document.createElement("li");
    line.textContent = `${name}: on for ${percent} % of the users`;
    return line;
  });
  document.querySelector("#flags").replaceChildren(...lines);
}

document.querySelector("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = new FormData(event.target).get("name");
  await fetch("/api/session", { method: "POST", body: JSON.stringify({ name }) });
  await show();
});

await show();
