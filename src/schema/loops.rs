//! No schema may lead back to itself without a step into the value: such a check has no end.

use super::{DEPTH_MAX, Node, Rule};

/// What is wrong with the way that schemas apply each other to one and the same value.
pub(super) enum Loop {
    /// This node is on a way that leads back to it, and has a `$ref`.
    At(usize),
    TooLong,
}

/// Finds for each node the length of the longest way from it, as soon as those of all its targets are known. Who leads
/// to a loop never gets one.
pub(super) fn find(nodes: &[Node]) -> Option<Loop> {
    let mut targets = Vec::with_capacity(nodes.len());
    for node in nodes {
        targets.push(in_place(node));
    }
    let mut heights: Vec<Option<usize>> = vec![None; nodes.len()];
    loop {
        let mut some_new = false;
        // Backwards: nearly all targets come behind those who lead to them.
        for at in (0..nodes.len()).rev() {
            if heights[at].is_none() {
                heights[at] = height(&targets[at], &heights);
                some_new |= heights[at].is_some();
            }
        }
        if !some_new {
            break;
        }
    }
    if let Some(stuck) = heights.iter().position(Option::is_none) {
        return Some(Loop::At(on_the_loop(nodes, &targets, &heights, stuck)));
    }
    heights.iter().any(|height| *height > Some(DEPTH_MAX)).then_some(Loop::TooLong)
}

fn height(targets: &[usize], heights: &[Option<usize>]) -> Option<usize> {
    let mut height = 0;
    for target in targets {
        height = height.max(heights[*target]? + 1);
    }
    Some(height)
}

/// What is stuck leads to a loop; after as many steps as there are nodes the walk is on it, and a loop has a `$ref`,
/// because all other ways lead down the tree.
fn on_the_loop(nodes: &[Node], targets: &[Vec<usize>], heights: &[Option<usize>], stuck: usize) -> usize {
    let mut at = stuck;
    for step in 0..2 * nodes.len() {
        if step >= nodes.len() && nodes[at].rules.iter().any(|rule| matches!(rule, Rule::Ref(_))) {
            break;
        }
        at = targets[at].iter().copied().find(|target| heights[*target].is_none()).unwrap_or(at);
    }
    at
}

/// The nodes that a node applies to its own value.
fn in_place(node: &Node) -> Vec<usize> {
    let mut targets = Vec::new();
    for rule in &node.rules {
        match rule {
            Rule::Ref(target) | Rule::Not(target) => targets.push(*target),
            Rule::All(parts) | Rule::Any(parts) | Rule::One(parts) => targets.extend(parts),
            Rule::If { condition, then, otherwise } => {
                targets.push(*condition);
                targets.extend(then);
                targets.extend(otherwise);
            }
            Rule::Object(object) => targets.extend(object.dependent_schemas.iter().map(|(_, schema)| schema)),
            _ => {}
        }
    }
    targets
}
