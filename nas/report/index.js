// Fills the table of all campaigns.
const campaigns = new Grid(document.querySelector('[data-table="campaigns"]'), {
  key: "name", label: "campaigns", hint: "digits finished", href: (name) => data.links[name],
});

show({ fill() { campaigns.fill(data.campaigns); } });
