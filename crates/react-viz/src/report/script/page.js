// Players are made when they come into sight: a page of a hundred clips opens as quickly as one of three.
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    if (!target.player) new Player(target);
  }
}, { rootMargin: "400px" });
document.querySelectorAll(".player").forEach((host) => seen.observe(host));

// Light or dark: the system's choice until the button is pressed.
const theme = document.getElementById("theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  document.documentElement.dataset.theme = (document.documentElement.dataset.theme ?? system) === "dark" ? "light" : "dark";
});

// The bar shows where one is.
const links = new Map([...document.querySelectorAll(".bar a")].map((link) => [link.hash.slice(1), link]));
const here = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    links.forEach((link, id) => (id === target.id ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current")));
  }
}, { rootMargin: "-30% 0px -60% 0px" });
document.querySelectorAll("main > section").forEach((section) => here.observe(section));
