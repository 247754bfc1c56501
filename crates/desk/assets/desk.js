// Live progress, and small comforts. Every page works without it.
(() => {
  "use strict";
  const section = document.querySelector("[data-flux]");
  if (section && window.EventSource) {
    const source = new EventSource(section.dataset.flux);
    const [bar, state, current, list] = ["barre", "etat", "courants", "faits"].map((id) => document.getElementById(id));
    let said = 0;
    source.addEventListener("avance", (event) => {
      const now = JSON.parse(event.data);
      bar.max = Math.max(1, now.prevus);
      bar.value = now.faits;
      current.textContent = now.en_cours.map((one) => one.attend ? one.cas + " (" + one.attend + ")" : one.cas).join(", ") || "–";
      // Screen readers are not told more often than every five seconds.
      if (now.prevus && Date.now() - said > 5000) {
        said = Date.now();
        state.textContent = now.faits + " cas sur " + now.prevus + ".";
      }
    });
    source.addEventListener("cas", (event) => {
      const one = JSON.parse(event.data);
      const line = document.createElement("li");
      const mark = document.createElement("span");
      mark.className = one.classe;
      mark.textContent = one.signe + " " + one.libelle;
      line.append(mark, " " + one.id + " — " + one.titre);
      list.prepend(line);
    });
    // Mail software: what came of the act under way; another act is another page.
    const bench = document.getElementById("banc");
    source.addEventListener("banc", (event) => {
      const now = JSON.parse(event.data);
      if (now.numero !== null && String(now.numero) !== bench?.dataset.acte) return location.reload();
      const seen = document.getElementById("vu");
      if (!seen || now.numero === null) return;
      seen.replaceChildren(...(now.vu.length ? now.vu : ["Rien pour l’instant."]).map((text) => {
        const line = document.createElement("li");
        line.textContent = text;
        return line;
      }));
    });
    source.addEventListener("fin", () => {
      source.close();
      location.reload();
    });
  }
  // A file instead of its text.
  for (const place of document.querySelectorAll("[data-fichier]")) {
    const target = document.getElementById(place.dataset.fichier);
    const label = document.createElement("label");
    label.textContent = "Choisir le fichier ";
    const input = document.createElement("input");
    input.type = "file";
    input.accept = ".toml";
    input.addEventListener("change", async () => {
      if (input.files[0]) target.value = await input.files[0].text();
    });
    label.append(input);
    place.append(label);
  }
  // What is worth copying gets a button.
  for (const text of document.querySelectorAll("code.copier, #jeton")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "discret";
    button.textContent = "Copier";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copié";
    });
    text.after(" ", button);
  }
  // Mistakes are where the keyboard is.
  document.getElementById("fautes")?.focus();
})();
